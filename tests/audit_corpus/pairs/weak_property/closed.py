"""Sorting functions, checked by a property of what they return."""

import ast
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


def code_reward(completions, entry, **kwargs):
    return [score(text, name) for text, name in zip(completions, entry, strict=True)]


def score(completion, entry):
    try:
        function = load(completion)[entry]
        results = [(xs, function(list(xs))) for xs in fresh(completion)]
        good = [ys == sorted(xs) for xs, ys in results]
        return float(all(isinstance(ys, list) for _, ys in results) and all(good))
    except Exception:
        return 0.0
