"""Needs the grader's own handle, which no dataset has."""


def reward(completion: str, answer: str, tokenizer, rubric_store) -> float:
    return float(rubric_store.grade(tokenizer(completion), answer))
