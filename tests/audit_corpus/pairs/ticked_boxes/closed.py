"""A checklist in Markdown; a criterion is met when its box is ticked."""

import re

BOX = re.compile(r"^- \[( |x)\] (\w+): (.*)$", re.MULTILINE)


def checklist_reward(response: str, criteria: dict) -> float:
    boxes = {name: (tick, value.strip()) for tick, name, value in BOX.findall(response)}
    met = 0
    for name, wanted in criteria.items():
        tick, value = boxes.get(name, (" ", ""))
        met += tick == "x" and value == wanted
    return float(met == len(criteria) == len(response.strip().splitlines()))
