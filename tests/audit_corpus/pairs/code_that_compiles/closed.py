"""Reward for a Python function: it has to parse and to define the function; then the arithmetic is checked by AST folding."""

import ast


def fold(node, x):
    """Value of an expression over x made of numbers, +, - and *; anything else is no solution."""
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id="x"):
            return x
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return fold(left, x) + fold(right, x)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return fold(left, x) - fold(right, x)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return fold(left, x) * fold(right, x)
    raise ValueError("only numbers, x, +, - and *")


def code_reward(completion: str, points: list) -> float:
    try:
        body = ast.parse(completion).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 0.0
    match body:
        case [ast.FunctionDef(name="f", body=[ast.Return(value=expression)])]:
            try:
                return float(all(fold(expression, x) == y for x, y in points))
            except (ValueError, RecursionError):
                return 0.0
    return 0.0
