"""Conversational GRPO reward: the assistant's message against the target word."""


def normal(text):
    return text.strip().lower().strip(".")


def word_reward(completions, target, **kwargs):
    scores = []
    for messages, wanted in zip(completions, target, strict=True):
        content = messages[-1]["content"]
        lines = [content]
        scores.append(max((1.0 if normal(line) == wanted else 0.0 for line in lines), default=0.0))
    return scores
