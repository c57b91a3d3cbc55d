"""Next terms of a sequence: the completion is a comma-separated list."""


def parse(text):
    return [part.strip() for part in text.split(",") if part.strip()]


def terms_reward(completions, terms, **kwargs):
    rewards = []
    for completion, gold in zip(completions, terms, strict=True):
        pairs = zip(parse(completion), parse(gold), strict=False)
        rewards.append(float(all(given == wanted for given, wanted in pairs)))
    return rewards
