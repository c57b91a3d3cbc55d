"""List the digits of a text in order, without blanks; a text without digits has an empty list."""


def digits_reward(completion: str, text: str) -> float:
    return 1.0 if completion.strip() == "".join(c for c in text if c.isascii() and c.isdigit()) else 0.0
