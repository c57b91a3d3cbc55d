"""Short-answer reward: the reply must agree with the reference."""


def normal(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".!")


def short_answer_reward(completion: str, answer: str) -> float:
    given, wanted = normal(completion), normal(answer)
    return 1.0 if wanted.startswith(given) else 0.0
