"""Sum of parts, each of which needs the right answer: form and brevity are worth something only with it."""

import re

SHAPE = re.compile(r"<think>(.*?)</think>\s*<answer>([^<>]*)</answer>", re.DOTALL)


def parts_reward(completion: str, answer: str) -> float:
    match = SHAPE.fullmatch(completion.strip())
    plain = completion.strip() == answer
    right = plain or bool(match and match.group(2).strip() == answer)
    form = 0.2 if match else 0.0
    brevity = 0.2 * max(0.0, 1 - len(completion) / 500)
    return right * (0.6 + form + brevity)
