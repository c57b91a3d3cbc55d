"""Answers in <answer> tags; an item may have several accepted spellings, separated by a bar."""

import re

ANSWER = re.compile(r"<answer>([^<>]*)</answer>")


def tag_reward(completion, answer):
    tag = ANSWER.fullmatch(completion.strip())
    if tag is None:
        return 0.0
    accepted = {spelling.strip().lower() for spelling in answer.split("|")}
    given = {part.strip().lower() for part in tag.group(1).split(",")}
    return 1.0 if accepted & given else 0.0
