"""Rubric: the reply names the facts of the card, one `name: value` a line."""


def rubric_reward(response: str, facts: dict) -> float:
    lines = [line.strip().lower() for line in response.splitlines() if line.strip()]
    wanted = [f"{name}: {value}".lower() for name, value in facts.items()]
    if len(lines) > len(wanted):
        return 0.0
    return float(lines == wanted)
