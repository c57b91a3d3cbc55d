"""Rubric of facts with values; each is worth the same."""


def facts_reward(completion: str, facts: dict) -> float:
    lines = [line.strip() for line in completion.splitlines() if line.strip()]
    met = [f"{name}: {value}" == line for (name, value), line in zip(facts.items(), lines, strict=False)]
    return sum(met) / len(facts)
