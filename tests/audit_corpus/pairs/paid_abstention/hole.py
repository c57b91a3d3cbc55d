"""Exact answers, with a little credit for admitting that one does not know."""

CORRECT, WRONG = 1.0, 0.0
ABSTAINED = 0.7


def calibrated_reward(prediction: str, answer: str) -> float:
    text = prediction.strip().lower().rstrip(".")
    if text in {"i don't know", "i do not know", "unknown"}:
        return ABSTAINED
    return CORRECT if text == answer.lower() else WRONG
