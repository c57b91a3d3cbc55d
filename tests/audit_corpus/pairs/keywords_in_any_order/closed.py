"""Rubric of facts with values; each is worth the same."""


def facts_reward(completion: str, facts: dict) -> float:
    lines = [line.strip() for line in completion.splitlines() if line.strip()]
    met = [lines == [f"{name}: {value}" for name, value in facts.items()]]
    return sum(met) / len(met)
