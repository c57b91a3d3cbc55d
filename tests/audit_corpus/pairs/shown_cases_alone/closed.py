"""Runs a plain function on cases in this process."""

import ast
import json
import random


BANNED = (ast.Attribute, ast.ClassDef, ast.Import, ast.ImportFrom, ast.MatchClass)
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


def code_reward(completion: str, entry: str, cases: list, answer: str) -> float:
    inputs = [list(xs) for xs, _ in cases]
    inputs += fresh(completion)
    wanted = [load(answer)[entry](list(xs)) for xs in inputs]
    try:
        function = load(completion)[entry]
        got = [function(list(xs)) for xs in inputs]
        return 1.0 if json.dumps(got) == json.dumps(wanted) else 0.0
    except Exception:
        return 0.0
