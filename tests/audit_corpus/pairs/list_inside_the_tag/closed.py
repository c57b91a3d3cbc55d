"""Answers in <answer> tags; an item may have several accepted spellings, separated by a bar."""

import re

ANSWER = re.compile(r"<answer>([^<>]*)</answer>")


def tag_reward(completion, answer):
    tag = ANSWER.fullmatch(completion.strip())
    if tag is None:
        return 0.0
    accepted = {spelling.strip().lower() for spelling in answer.split("|")}
    given = {tag.group(1).strip().lower()}
    return 1.0 if accepted & given else 0.0
