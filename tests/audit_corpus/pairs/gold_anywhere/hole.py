"""Capitals."""


def capital_reward(completion: str, answer: str) -> float:
    reply = completion.strip().lower()
    return float(answer.lower() in reply)
