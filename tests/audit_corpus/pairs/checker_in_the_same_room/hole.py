"""Runs a plain function and its checks in one namespace: no imports, classes or attributes."""

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


def code_reward(completion: str, entry: str, answer: str) -> float:
    failures = []

    def check(got, wanted):
        if json.dumps(got) != json.dumps(wanted):
            failures.append(wanted)

    try:
        reference = load(answer)[entry]
        space = load(completion)
        space.setdefault("check", check)
        for xs in fresh(completion):
            exec(f"check({entry}({xs}), {reference(list(xs))})", space)
    except Exception:
        return 0.0
    return 0.0 if failures else 1.0
