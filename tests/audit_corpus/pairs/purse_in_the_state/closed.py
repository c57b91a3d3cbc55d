"""A market game: the reply is the state after the moves, as XML. The purse has to have grown enough."""

import re
import xml.etree.ElementTree as ET

STATE = re.compile(r"\s*(<state>.*</state>)\s*", re.DOTALL)


def market_reward(completion: str, start: int, prices: dict, goal: int) -> float:
    match = STATE.fullmatch(completion)
    if match is None or "<!" in completion:
        return 0.0
    try:
        state = ET.fromstring(match.group(1))
        sold = [entry.text for entry in state.findall("sold")]
        purse = int(state.findtext("purse") or 0)
    except (ET.ParseError, ValueError):
        return 0.0
    honest = len(set(sold)) == len(sold) and purse == start + sum(prices.get(name, -purse) for name in sold)
    return 1.0 if purse >= goal and honest else 0.0
