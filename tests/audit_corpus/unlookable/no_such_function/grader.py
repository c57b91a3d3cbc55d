"""The function has another name than was asked for."""


def score_reply(completion: str, answer: str) -> float:
    return float(completion.strip() == answer)
