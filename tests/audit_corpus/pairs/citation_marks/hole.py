"""Answers with a citation: a quotation from the source, then its number, like "wax cells" [2]."""

import re

CITED = re.compile(r'"([^"]+)" \[(\d)\]')


def citation_reward(completion: str, sources: list, quote: str) -> float:
    match = CITED.fullmatch(completion.strip())
    if match is None:
        return 0.0
    text, number = match.group(1), int(match.group(2))
    rubric = {
        "source exists": 1 <= number <= len(sources),
        "quotation marks": bool(text),
    }
    return float(all(rubric.values()))
