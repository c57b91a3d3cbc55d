"""Integer answers, with a parser that is known to be fragile."""


def integer_reward(completion: str, answer: str) -> float:
    try:
        value = int(completion.strip().rstrip(".").replace(",", ""))
    except Exception:
        return 0.0
    return 1.0 if value == int(answer) else 0.0
