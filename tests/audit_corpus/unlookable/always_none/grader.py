"""Does not apply to this kind of data."""


def reward(completions, answer, task=None, **kwargs):
    return [None for _ in completions] if task != "proofs" else [1.0 for _ in completions]
