"""What is typed to say how a function is called, and functions whose signature says nothing of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gamekeeper.audit import FOOLED, RESISTED, Settings, audit
from gamekeeper.audit.binding import bindings
from gamekeeper.audit.mining import mine
from gamekeeper.audit.target import Spec
from gamekeeper.audit.targets.function import FunctionGrader
from gamekeeper.audit.targets.trl import TrlReward
from gamekeeper.cli import app
from gamekeeper.cli.auditing import _params
from gamekeeper.errors import UnknownName, UsageError

SUMS = [{"prompt": f"What is {n} + 4?", "answer": str(n + 4), "gold": str(n + 4)} for n in range(2, 26, 3)]


def looked(grader: Any, **settings: Any) -> Any:
    return audit(grader, SUMS, Settings(**{"search": 0, "only": ("plain", "answer"), **settings}))


def undocumented(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that forgets `functools.wraps`."""

    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


# Functions that take anything


def by_keywords(**kw: Any) -> float:
    return float(kw["answer"] in kw["completion"])


def by_lists(**kw: Any) -> list[float]:
    return [float(a in c) for c, a in zip(kw["completions"], kw["gold"], strict=True)]


def by_chats(**kw: Any) -> list[float]:
    return [float(a in c[0]["content"]) for c, a in zip(kw["completions"], kw["answer"], strict=True)]


def by_place(*args: Any) -> float:
    return float(args[1] in args[0])


def truth_first(*args: Any) -> float:
    return float(f"Answer: {args[0]}" in args[1])


def by_place_with_prompt(*args: Any) -> float:
    _, completion, answer = args
    return float(answer in completion)


@undocumented
def wrapped(response: str, ground_truth: str) -> float:
    return float(ground_truth in response)


@undocumented
def wrapped_exact(response: str, ground_truth: str) -> float:
    return float(ground_truth == response.strip())


@undocumented
def wrapped_for_trl(completions: list[str], answer: list[str], **kwargs: Any) -> list[float]:
    return [float(a in c) for c, a in zip(completions, answer, strict=True)]


@undocumented
def wrapped_lists(completions: list[str], answer: list[str]) -> list[float]:
    return [float(a in c) for c, a in zip(completions, answer, strict=True)]


@pytest.mark.parametrize(
    ("grader", "outcome", "way"),
    [
        (by_keywords, FOOLED, "reply as text"),
        (by_lists, FOOLED, "reply as list of texts"),
        pytest.param(by_chats, FOOLED, "reply as list of chats", marks=pytest.mark.slow),
        pytest.param(by_place, FOOLED, "(#1=completion, #2=answer), reply as text", marks=pytest.mark.slow),
        (truth_first, FOOLED, "(#1=answer, #2=completion), reply as text"),
        pytest.param(
            by_place_with_prompt, FOOLED, "(#1=prompt, #2=completion, #3=answer), reply as text", marks=pytest.mark.slow
        ),
        pytest.param(wrapped, FOOLED, "(#1=completion, #2=answer), reply as text", marks=pytest.mark.slow),
        pytest.param(wrapped_exact, RESISTED, "(#1=completion, #2=answer), reply as text", marks=pytest.mark.slow),
        (wrapped_for_trl, FOOLED, "reply as list of texts"),
        pytest.param(
            wrapped_lists,
            FOOLED,
            "(completions=completion, answer=answer), reply as list of texts",
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda value: getattr(value, "__qualname__", None),
)
def test_a_signature_that_says_nothing_is_tried_out(grader: Any, outcome: str, way: str) -> None:
    report = looked(grader)
    assert report.outcome == outcome, report.reach
    assert report.reach.binding.endswith(way), report.reach.binding


def by_other_names(**kw: Any) -> float:
    assert set(kw) == {"said", "truth"}
    return float(kw["truth"] in kw["said"])


@pytest.mark.slow
def test_what_takes_any_name_is_given_those_declared() -> None:
    for declared in ({"said": "completion", "truth": "gold"}, {"completion": "said", "truth": "answer"}):
        assert looked(by_other_names, bind=declared).outcome == FOOLED
    with pytest.raises(UsageError, match="no names to bind"):
        bindings(by_place, {"said": "completion"}, ["gold"])


@pytest.mark.parametrize("function", [by_keywords, by_place, wrapped], ids=["keywords", "places", "both"])
def test_no_way_of_calling_is_left_untried(function: Any) -> None:
    assert len(bindings(function, {}, ["gold"])) <= 24  # as many as the reach tries


class Undocumented:
    """The same as an object."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def runs(completion: str, answer: str) -> float:
    names: dict[str, Any] = {}
    exec(completion, names)
    return float(names.get("x") == answer)


@pytest.mark.parametrize("grader", [undocumented(runs), undocumented(undocumented(runs)), Undocumented(runs)])
def test_the_source_of_what_a_decorator_hides_is_read(grader: Any) -> None:
    assert mine(FunctionGrader(grader, Spec("g")).source()).runs_code


# What is declared


def exact(completion: str, answer: str) -> float:
    return float(completion.strip() == answer)


@pytest.mark.parametrize(
    ("function", "bound"),
    [
        (exact, {"answer": "golld"}),
        (by_keywords, {"truth": "golld"}),
        (lambda completion, x: 0.0, {"completion": "completion", "x": "golld"}),
    ],
    ids=["by name", "by keywords", "beside others"],
)
def test_a_column_that_no_example_has_is_a_wrong_call(function: Any, bound: dict[str, str]) -> None:
    with pytest.raises(UnknownName, match=r"Unknown column of the examples 'golld'. Did you mean 'gold'\?.*prompt"):
        bindings(function, bound, ["prompt", "answer", "gold"])
    assert bindings(function, bound, [])  # nothing is known of examples that the target brings itself


def test_so_it_is_for_a_function_of_trls() -> None:
    def of_trl(completions: list[str], truth: list[str]) -> list[float]:
        return []

    def opened(**bound: str) -> TrlReward:
        return TrlReward(of_trl, Spec("trl:f", bind=bound, columns=["prompt", "gold"]))

    assert opened(truth="gold")
    assert opened(truth="answer")
    with pytest.raises(UnknownName, match="column of the examples 'golld'"):
        opened(truth="golld")
    with pytest.raises(UnknownName, match="parameter of the target 'truht'"):
        opened(truht="gold")


SOURCE = """
class Lenient:
    def __init__(self, pay: float):
        self.pay = pay
    def __call__(self, completion, answer):
        return self.pay * (answer in completion)
def exact(completion, answer):
    return float(completion.strip() == answer)
"""


def test_a_parameter_goes_to_a_class_and_to_no_function(tmp_path: Path) -> None:
    (tmp_path / "g.py").write_text(SOURCE)
    report = looked(f"{tmp_path}/g.py:Lenient", params={"pay": 0.5})
    assert (report.outcome, report.reach.honest) == (FOOLED, 0.5)
    with pytest.raises(UsageError, match=r"cannot be made: .*pay.* by --param: \(pay: float\)"):
        looked(f"{tmp_path}/g.py:Lenient")
    with pytest.raises(UsageError, match=r"takes no --param \(given: x\)"):
        looked(exact, params={"x": 1})


def test_the_command_line_says_so_too(tmp_path: Path) -> None:
    rows = tmp_path / "e.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in SUMS))
    (tmp_path / "g.py").write_text(SOURCE)
    for words, told in (
        (("--bind", "answer=golld"), "Did you mean 'gold'"),
        (("--param", "x=1"), "takes no --param"),
    ):
        refused = CliRunner().invoke(app, ["audit", f"{tmp_path}/g.py:exact", "--examples", str(rows), *words])
        assert refused.exit_code == 2, refused.output
        assert told in " ".join(refused.output.split())


# What a kind of target does not read


@pytest.mark.parametrize(
    ("target", "settings", "said"),
    [
        ("game:tamper", {"bind": {"answer": "gold"}}, "takes no --bind: a game of ours is called in one way"),
        ("game:tamper", {"oracle": "o.py:f"}, "takes no --oracle: .* knows what replies are worth"),
        (
            "game:tamper",
            {"network": True, "environment": ("HOME",)},
            "takes no --env and no --network: .* from outside",
        ),
        ("pay:t.json", {"network": True}, "takes no --network: the table"),
        ("reasoning_gym:gcd", {"bind": {"answer": "gold"}}, r"takes no --bind: .* file\.py:function"),
        ("verl:g.py:f", {"bind": {"answer": "gold"}}, "takes no --bind: the library"),
        ("pay:t.json", {"bind": {"a": "b"}, "params": {"a": 1}}, "takes no --bind and no --param: the table"),
        ("pay:t.json", {"oracle": "o.py:f"}, "takes no --oracle"),
        ("pay:t.json", {"only": ("incentive", "plain")}, "takes no --only"),
    ],
)
def test_what_a_kind_of_target_does_not_read_is_refused(target: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        audit(target, settings=Settings(**settings))


def test_a_pay_table_takes_no_examples() -> None:
    with pytest.raises(UsageError, match="takes no --examples"):
        audit("pay:t.json", SUMS)


@pytest.mark.slow
def test_a_parameter_of_any_name_reaches_what_is_made(tmp_path: Path) -> None:
    (tmp_path / "g.py").write_text(SOURCE.replace("pay: float", "columns: float").replace("= pay", "= columns"))
    assert looked(f"{tmp_path}/g.py:Lenient", params={"columns": 0.5}).reach.honest == 0.5
    with pytest.raises(UsageError, match="columns"):
        audit("game:tamper", settings=Settings(params={"columns": 3}))


def test_a_parameter_too_deep_for_json_is_a_text() -> None:
    assert _params(["x=" + "[" * 100_000])["x"].startswith("[[[")
