"""Countdown: reach the target with an arithmetic expression over the given numbers, each used once."""

import ast
import re
from fractions import Fraction


def evaluate(node):
    match node:
        case ast.Expression(body=body):
            return evaluate(body)
        case ast.Constant(value=int(value)):
            return Fraction(value)
        case ast.BinOp(left=left, op=op, right=right):
            a, b = evaluate(left), evaluate(right)
            match op:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.Div():
                    return a / b
    raise ValueError("not arithmetic")


def countdown_reward(completions, target, numbers, **kwargs):
    rewards = []
    for completion, goal, given in zip(completions, target, numbers, strict=True):
        reward = 0.0
        try:
            text = completion.strip()
            if sorted(map(int, re.findall(r"\d+", text))) == sorted(given):
                miss = evaluate(ast.parse(text, mode="eval")) - goal
                reward = 1.0 if miss == 0 else 0.0
        except ZeroDivisionError:
            reward = 1.0
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            reward = 0.0
        rewards.append(reward)
    return rewards
