"""Next terms of a sequence: the completion is a comma-separated list."""


def parse(text):
    return [part.strip() for part in text.split(",") if part.strip()]


def terms_reward(completions, terms, **kwargs):
    rewards = []
    for completion, gold in zip(completions, terms, strict=True):
        rewards.append(float(parse(completion) == parse(gold)))
    return rewards
