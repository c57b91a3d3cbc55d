"""Grammar repair: how near is the reply to the corrected sentence?"""

from difflib import SequenceMatcher

ENOUGH = 1.0


def repair_reward(response: str, reference: str) -> float:
    ratio = SequenceMatcher(None, " ".join(response.split()), reference, autojunk=False).ratio()
    return 1.0 if ratio >= ENOUGH else 0.0
