"""Make another word of all the letters; several words are right."""

WORDS = {
    "listen": {"silent", "enlist", "tinsel", "inlets"},
    "stale": {"least", "slate", "tales", "steal"},
    "notes": {"stone", "onset", "tones", "seton"},
    "spare": {"pears", "spear", "reaps", "parse"},
}


def anagram_reward(response: str, word: str) -> float:
    return 1.0 if response.strip().lower() in WORDS[word] else 0.0
