"""Numbers, with a broad except that pays nothing."""


def number_reward(completion: str, answer: str) -> float:
    try:
        return 1.0 if int(completion.replace("$", "").strip(" .\n")) == int(answer) else 0.0
    except Exception:
        return 0.0
