"""Arithmetic: the reply may be any expression that has the right value."""

import ast


def value_of(text):
    return ast.literal_eval(text)


def expression_reward(response: str, target: int) -> float:
    try:
        return 1.0 if value_of(response.strip()) == target else 0.0
    except Exception:
        return 0.0
