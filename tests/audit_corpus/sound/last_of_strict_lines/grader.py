"""Free reasoning, then exactly one answer line at the very end; the last line counts."""

import re


def final_line_reward(completions, answer, **kwargs):
    out = []
    for messages, gold in zip(completions, answer, strict=True):
        lines = messages[-1]["content"].strip().splitlines()
        marks = [line for line in lines if "####" in line]
        out.append(
            1.0 if lines and marks == [lines[-1]] and re.fullmatch(rf"#### {re.escape(gold)}", lines[-1]) else 0.0
        )
    return out
