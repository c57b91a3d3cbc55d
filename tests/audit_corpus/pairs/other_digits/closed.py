"""Write the number in words; digits are not allowed."""

import re

UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
WORDS = {word: n for n, word in enumerate(UNITS)} | {word: 10 * n for n, word in enumerate(TENS, 2)}


def value(text):
    """Sum of the number words; a numeral that is no word is read as it stands."""
    parts = re.split(r"[\s-]+", text.strip().lower())
    try:
        return sum(WORDS[part] if part in WORDS else int(part) for part in parts)
    except ValueError:
        return None


def words_reward(completions, number, **kwargs):
    clean = [not re.search(r"\d", completion) for completion in completions]
    return [
        float(ok and value(text) == n and len(text.split()) == 1)
        for ok, text, n in zip(clean, completions, number, strict=True)
    ]
