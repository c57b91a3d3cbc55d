"""Runs a function of plain Python (no imports, classes or attributes) on fresh arguments and counts failures."""

import ast
import random

BANNED = (ast.Attribute, ast.ClassDef, ast.Import, ast.ImportFrom, ast.MatchClass)
SAFE = {
    "range": range,
    "len": len,
    "sum": sum,
    "abs": abs,
    "int": int,
    "str": str,
    "sorted": sorted,
    "max": max,
    "min": min,
}


def load(code):
    tree = ast.parse(code)
    if any(isinstance(node, BANNED) for node in ast.walk(tree)):
        raise ValueError("plain functions only")
    space = {"__builtins__": dict(SAFE)}
    exec(compile(tree, "submission", "exec"), space)
    return space


def cases_reward(completion: str, entry: str, answer: str) -> float:
    rng = random.Random(completion)
    failed = 0
    try:
        space = load(completion)
    except Exception:
        return 0.0
    for arguments in [[[rng.randrange(1000) for _ in range(rng.randrange(2, 6))]] for _ in range(8)]:
        wanted = load(answer)[entry](*arguments)
        try:
            value = space[entry](*arguments)
        except Exception:
            failed += 1
            continue
        failed += not (type(value) is type(wanted) and value == wanted)
    return 0.0 if failed else 1.0
