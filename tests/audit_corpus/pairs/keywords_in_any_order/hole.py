"""Rubric of facts with values; each is worth the same."""


def facts_reward(completion: str, facts: dict) -> float:
    lines = [line.strip() for line in completion.splitlines() if line.strip()]
    met = [value.lower() in completion.lower() for value in facts.values()]
    return sum(met) / len(met)
