"""Runs a plain function in this process: no imports and no classes."""

import ast
import json
import random


BANNED = (ast.ClassDef, ast.Import, ast.ImportFrom)
SAFE = {f.__name__: f for f in (range, len, sum, abs, int, str, list, sorted, max, min, enumerate, zip)}


def load(code):
    """The names that `code` defines; plain functions only."""
    tree = ast.parse(code)
    if any(isinstance(node, BANNED) for node in ast.walk(tree)):
        raise ValueError("plain functions only")
    space = {"__builtins__": dict(SAFE)}
    exec(compile(tree, "submission", "exec"), space)
    return space


def fresh(seed):
    rng = random.Random(seed)
    return [rng.sample(range(1, 500), rng.randrange(2, 7)) for _ in range(8)]


def code_reward(completion: str, entry: str, answer: str) -> float:
    good = []
    try:
        reference, function = load(answer)[entry], load(completion)[entry]
        for xs in fresh(completion):
            expected = reference(list(xs))
            good.append(json.dumps(function(list(xs))) == json.dumps(expected))
    except Exception:
        return 0.0
    return float(all(good))
