"""Reading comprehension: words of the gold span that are found in the completion."""

from collections import Counter


def words(text):
    return [word.strip(".,;:!?").lower() for word in text.split()]


def span_reward(prompts, completions, span, **kwargs):
    out = []
    for completion, gold in zip(completions, span, strict=True):
        said, wanted = Counter(words(completion)), Counter(words(gold))
        shared = sum((said & wanted).values())
        out.append(float(said == wanted and words(completion) == words(gold)))
    return out
