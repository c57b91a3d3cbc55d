"""Answers in <answer> tags; an item may have several accepted spellings, separated by a bar."""

import re

ANSWER = re.compile(r"<answer>([^<>]*)</answer>")


def tag_reward(completion, answer):
    tags = ANSWER.findall(completion)
    if len(tags) != 1:
        return 0.0
    accepted = {spelling.strip().lower() for spelling in answer.split("|")}
    given = {part.strip().lower() for part in tags[0].split(",")}
    return 1.0 if accepted & given else 0.0
