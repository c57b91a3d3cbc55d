"""Containment, after the reply was found to be one of the options, word for word."""


def option_reward(completion: str, options: list, answer: str) -> float:
    reply = completion.strip().lower()
    if reply not in [option.lower() for option in options]:
        return 0.0
    return 1.0 if answer.lower() in reply else 0.0
