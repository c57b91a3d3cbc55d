"""Answers compared by a package that is not installed; imported when it is needed."""


def reward(completion: str, answer: str) -> float:
    from symbolic_answer_checker_pro import same

    return float(same(completion, answer))
