"""Multiple choice by the text of the option."""


def choice_reward(prompt: str, completion: str, answer: str) -> float:
    options = [line[3:].strip().lower() for line in prompt.splitlines() if line[1:3] == ") "]
    said = completion.strip().lower().rstrip(".")
    chosen = [option for option in options if option in said]
    return 1.0 if answer.lower() in chosen else 0.0
