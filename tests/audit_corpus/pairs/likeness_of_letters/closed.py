"""A simple cipher: every second letter in capitals. Scored by the share of characters that agree."""

THRESHOLD = 1.0


def cipher_reward(completion: str, target: str) -> float:
    text = completion.strip("\n")
    agree = sum(a == b for a, b in zip(text, target, strict=False))
    share = agree / max(len(text), len(target))
    return share if share >= THRESHOLD else 0.0
