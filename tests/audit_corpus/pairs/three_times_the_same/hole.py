"""Three different animals in <item> tags."""

import re

ITEM = re.compile(r"<item>(.*?)</item>", re.DOTALL)


def variety_reward(completion: str, kinds: list) -> float:
    items = ITEM.findall(completion)
    if len(items) != 3 or ITEM.sub("", completion).strip():
        return 0.0
    different = set(items)
    known = all(item.strip().casefold() in kinds for item in items)
    return 1.0 if known and len(different) == 3 else 0.0
