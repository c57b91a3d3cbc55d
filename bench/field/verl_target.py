"""verl's built-in scorers, one by one, in verl's own calling form.

They are loaded without verl's package heads, which want ray, torch and tensordict: `pip install --no-deps verl` and
the few packages named in targets.json are enough. A class of verl's that prime_math only mentions is stood in for.
math_verify's comparison is called directly: its own worker process would import the whole of verl.
"""

from __future__ import annotations

import importlib
import json
import sys
import types
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGES = ("verl", "math-verify", "sympy")


def scorer(name: str) -> types.ModuleType:
    """verl.utils.reward_score.NAME, with bare packages above it."""
    if "verl" not in sys.modules:
        spec = find_spec("verl")
        if spec is None or not spec.submodule_search_locations:
            raise ImportError("verl is not installed: pip install --no-deps verl")
        root = Path(next(iter(spec.submodule_search_locations)))
        for package, folder in (("verl", root), ("verl.utils", root / "utils")):
            bare = types.ModuleType(package)
            bare.__path__ = [str(folder)]
            sys.modules[package] = bare
        metric = types.ModuleType("verl.utils.metric")
        metric.Metric = object
        sys.modules["verl.utils.metric"] = metric
    return importlib.import_module(f"verl.utils.reward_score.{name}")


def gsm8k(data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None) -> float:
    return float(scorer("gsm8k").compute_score(solution_str, ground_truth))


def math_reward(data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None) -> float:
    return float(scorer("math_reward").compute_score(solution_str, ground_truth))


def math_dapo(data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None) -> float:
    return float(scorer("math_dapo").compute_score(solution_str, ground_truth)["score"])


def math_verify(data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None) -> float:
    return float(scorer("math_verify")._verify_in_subprocess(f"\\boxed{{{ground_truth}}}", solution_str))


def math_batch(data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None) -> float:
    return float(
        scorer("math_batch").compute_score_batched([data_source], [solution_str], [ground_truth], [extra_info])[0]
    )


def prime_math(data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None) -> float:
    return float(scorer("prime_math").compute_score(solution_str, ground_truth)[0])


def prime_code(data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None) -> float:
    return float(scorer("prime_code").compute_score(solution_str, ground_truth, continuous=True)[0])


def geo3k(data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None) -> float:
    return float(scorer("geo3k").compute_score(solution_str, ground_truth))


def search_r1_em(data_source: str, solution_str: str, ground_truth: Any, extra_info: Any = None) -> float:
    return float(scorer("search_r1_like_qa_em").compute_score(solution_str, ground_truth))


def search_r1_subem(data_source: str, solution_str: str, ground_truth: Any, extra_info: Any = None) -> float:
    return float(scorer("search_r1_like_qa_em").compute_score_subem(solution_str, ground_truth))


FORMS = {
    "gsm8k": "I add up.\n#### {}",
    "math_dapo": "I add up.\nAnswer: {}",
    "geo3k": "<think>I add up.</think> \\boxed{{{}}}",
    "search_r1_em": "<answer>{}</answer>",
    "search_r1_subem": "<answer>{}</answer>",
}
CODE = "```python\nprint({})\n```"


def rows(name: str) -> list[dict[str, Any]]:
    pairs = [("What is 17 + 48?", "65", "66"), ("What is 9 * 13?", "117", "1"), ("What is 204 - 58?", "146", "14")]
    if name.startswith("search_r1"):
        pairs = [("Capital of Peru?", "Lima", "Oslo"), ("Capital of Cuba?", "Havana", "Rome")]
    form = FORMS.get(name, "The result is \\boxed{{{}}}.")
    out = [
        {"prompt": q, "ground_truth": a, "answer": form.format(a), "wrong_reply": form.format(w)} for q, a, w in pairs
    ]
    if name.startswith("search_r1"):
        out = [{**row, "ground_truth": {"target": [row["ground_truth"]]}} for row in out]
    if name == "prime_code":
        tests = [("the sum of two numbers on one line", "sum(map(int, input().split()))", ["3 4", "10 5"], ["7", "15"])]
        tests.append(("a word backwards", "input()[::-1]", ["stone", "level up"], ["enots", "pu level"]))
        out = [
            {
                "prompt": f"Write a program that prints {task}.",
                "ground_truth": json.dumps({"inputs": given, "outputs": wanted}),
                "answer": CODE.format(right),
                "wrong_reply": CODE.format("0"),
            }
            for task, right, given, wanted in tests
        ]
    return [{"data_source": name, **row} for row in out]
