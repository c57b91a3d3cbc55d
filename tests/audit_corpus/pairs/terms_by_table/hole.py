"""Give the rule of a sequence as an expression over n, made of numbers, n, + - * // %, lists and indices."""

import ast

NODES = (
    ast.Expression,
    ast.BinOp,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.FloorDiv,
    ast.Mod,
    ast.Constant,
    ast.Name,
    ast.Load,
    ast.List,
    ast.Subscript,
    ast.UnaryOp,
    ast.USub,
)


def rule(text):
    tree = ast.parse(text.strip(), mode="eval")
    for node in ast.walk(tree):
        if (
            not isinstance(node, NODES)
            or (isinstance(node, ast.Constant) and not (type(node.value) is int and node.value < 10_000))
            or (isinstance(node, ast.Name) and node.id != "n")
        ):
            raise ValueError("not a rule over n")
    code = compile(tree, "rule", "eval")
    return lambda n: eval(code, {"__builtins__": {}}, {"n": n})


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    ns = range(1, 6)
    if len(solution_str) > 200:
        return 0.0
    try:
        given, wanted = rule(solution_str), rule(ground_truth)
        return float(all(type(given(n)) is int and given(n) == wanted(n) for n in ns))
    except (ValueError, SyntaxError, TypeError, ArithmeticError, IndexError, RecursionError, MemoryError):
        return 0.0
