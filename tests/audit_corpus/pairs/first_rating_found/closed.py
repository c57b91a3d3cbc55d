"""Rating by a judge in the form [[N]], N from 1 to 5. Deterministic stand-in that quotes what it rates."""

import re

RATING = re.compile(r"\[\[(\d)\]\]")


def judge(reference: str, reply: str) -> str:
    rating = 5 if reply.strip().rstrip(".").lower() == reference.lower() else 1
    return f"I was given: {reply}\nIt should say: {reference}\nRating: [[{rating}]]"


def rating_reward(response: str, reference: str) -> float:
    ratings = RATING.findall(judge(reference, response))
    return (int(ratings[-1]) - 1) / 4
