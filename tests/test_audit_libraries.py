"""Graders of other libraries as audit targets, each against the library as it is installed; absent ones are skipped.

The rules about versions are tested without any of them.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

import library_targets
from gamekeeper.audit import FOOLED, RESISTED, Settings, audit
from gamekeeper.audit.finding import Example
from gamekeeper.audit.target import Limits, Spec
from gamekeeper.audit.targets import code, open_target
from gamekeeper.errors import CouldNotLook, UsageError

FILE = Path(library_targets.__file__)
MEMORY = 16384


def needs(package: str) -> Any:
    try:
        version(package)
    except PackageNotFoundError:
        return pytest.mark.skip(reason=f"NOT TESTED: {package} is not installed")
    return pytest.mark.skipif(False, reason="")


def opened(name: str, count: int = 3, network: bool = False, **params: Any) -> Any:
    spec = Spec("", params=params, folder=str(FILE.parent), count=count)
    return open_target(name, spec, Limits(wall_s=60.0, memory_mb=MEMORY, network=network))


def paid(name: str, *replies: str, binding: int = 0, rows: Any = None, **options: Any) -> list[Any]:
    """What the first example's replies earn; an error in its words."""
    with opened(name, **options) as target:
        target.use(rows or target.examples(), binding)
        results = target.grade([(0, (r,)) for r in replies])
    return [p.error or p.end if p.reward is None else p.reward for p in results]


def outcome(name: str, **settings: Any) -> Any:
    usual = {"search": 0, "most_examples": 3, "only": ("plain", "answer"), "memory_mb": MEMORY, "seconds": 120}
    return audit(name, settings=Settings(**{**usual, **settings}))


# Versions


def test_a_missing_library_is_named_with_its_install_command() -> None:
    with pytest.raises(UsageError, match=r"pip install 'no-such-library>=1.2,<2'"):
        code.require("no-such-library", "1.2", "2")


@pytest.mark.parametrize(("found", "fine"), [("1.1.9", False), ("1.2", True), ("1.10.0rc1", True), ("2.0", False)])
def test_a_version_out_of_range_is_refused(found: str, fine: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "version", lambda _: found)
    if fine:
        assert code.require("thing", "1.2", "2") == found
        return
    with pytest.raises(UsageError, match=f"from 1.2 to below 2, and {found} is installed"):
        code.require("thing", "1.2", "2")


@pytest.mark.parametrize("kind", ["trl", "verl", "verifiers", "inspect", "reasoning_gym", "openenv"])
def test_a_kind_without_its_library_says_what_to_install(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = {"inspect": "inspect-ai", "reasoning_gym": "reasoning-gym"}.get(kind, kind)
    try:
        version(package)
    except PackageNotFoundError:
        with pytest.raises(UsageError, match=f"pip install '{package}>="):
            open_target(f"{kind}:thing", Spec("", folder="."))
        return
    with pytest.raises(UsageError):
        open_target(f"{kind}:no_such_thing_at_all", Spec("", folder="."))


# reasoning-gym


@needs("reasoning-gym")
def test_reasoning_gym_brings_its_items_and_pays_their_answers() -> None:
    with opened("reasoning_gym:gcd", count=5) as target:
        items = target.examples()
        assert len(items) == 5
        assert all(e.good == ((e.answer,),) for e in items)
        target.use(items)
        right = target.grade([(k, e.good[0]) for k, e in enumerate(items)])
        wrong = target.grade([(k, ("zzqx",)) for k in range(5)])
        assert "score_answer" in target.source()
    assert [p.reward for p in right] == [1.0] * 5
    assert [p.reward for p in wrong] == [0.0] * 5


@needs("reasoning-gym")
def test_an_item_that_another_process_makes_otherwise_is_graded_as_it_was_made() -> None:
    with opened("reasoning_gym:gcd") as target:
        first = target.examples()[0]
        other = type(first)(f"{first.prompt} ", "770", {**first.columns, "entry": json.dumps({"answer": "770"})})
        target.use([other])
        assert [p.reward for p in target.grade([(0, ("770",)), (0, (str(first.answer),))])] == [1.0, 0.0]


@needs("reasoning-gym")
def test_reasoning_gym_refuses_what_it_does_not_have() -> None:
    with pytest.raises(UsageError, match=r"'gdc'.*Did you mean 'gcd'"):
        opened("reasoning_gym:gdc")
    with pytest.raises(UsageError, match=r"config has: .*max_numbers"):
        opened("reasoning_gym:gcd", nonsense=3)


@needs("reasoning-gym")
def test_a_generous_data_set_is_fooled_and_a_strict_one_resists() -> None:
    generous = outcome("reasoning_gym:game_of_life_halting")
    assert generous.outcome == FOOLED
    assert {f.severity for f in generous.findings} >= {"critical"}
    assert outcome("reasoning_gym:basic_arithmetic", only=("plain",)).outcome == RESISTED


# TRL


@needs("trl")
@pytest.mark.parametrize(
    ("name", "params", "right", "wrong"),
    [
        ("accuracy_reward", {}, r"\boxed{%s}", r"\boxed{3}"),
        ("reasoning_accuracy_reward", {}, r"<think>so</think>\boxed{%s}", r"<think>so</think>\boxed{3}"),
        ("think_format_reward", {}, "<think>\nso\n</think>\n%s", "%s"),
        ("get_cosine_scaled_reward", {"max_len": 100}, r"\boxed{%s}", r"\boxed{3}"),
        ("get_repetition_penalty_reward", {"ngram_size": 2, "max_penalty": -1}, "it is %s", "so so so so so so"),
        (
            "get_soft_overlong_punishment",
            {"max_completion_len": 10, "soft_punish_cache": 5},
            "it is %s",
            "so " * 20,
        ),
    ],
)
def test_trl_pays_its_own_reward(name: str, params: dict[str, Any], right: str, wrong: str) -> None:
    with opened(f"trl:{name}", **params) as target:
        target.use(target.examples())
        answer = target.examples()[0].answer
        texts = [t % answer if "%s" in t else t for t in (right, wrong)]
        good, bad = (p.reward for p in target.grade([(0, (t,)) for t in texts]))
    assert good is not None
    assert bad is not None
    assert good > bad


@needs("trl")
def test_trl_functions_of_a_users_own() -> None:
    with opened(f"trl:{FILE}:containment") as target:
        target.use(target.examples())
        answer = target.examples()[0].answer
        assert [p.reward for p in target.grade_together([(0, (answer,)), (1, ("no",))])] == [1.0, 0.0]
    assert outcome(f"trl:{FILE}:containment").outcome == FOOLED
    assert outcome(f"trl:{FILE}:of_texts").reach.binding.endswith("as texts")


@needs("trl")
def test_trl_factories_need_their_arguments() -> None:
    with pytest.raises(UsageError, match=r"by --param: \(max_completion_len: int"):
        opened("trl:get_soft_overlong_punishment")
    with pytest.raises(UsageError, match="takes no --param"):
        opened("trl:accuracy_reward", max_len=3)


# verl


@needs("verl")
@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("gsm8k", "#### %s", "#### 3"),
        ("openai/gsm8k", "#### %s", "#### 3"),
        ("math_reward", r"\boxed{%s}", r"\boxed{3}"),
        ("math_dapo", "Answer: %s", "Answer: 3"),
        ("math_batch", r"\boxed{%s}", r"\boxed{3}"),
        ("prime_math", r"\boxed{%s}", r"\boxed{3}"),
        ("geo3k", r"<think>so</think> \boxed{%s}", r"<think>so</think> \boxed{3}"),
        ("searchR1_nq", "<answer>%s</answer>", "<answer>3</answer>"),
    ],
)
def test_verl_scores_by_module_and_by_data_source(name: str, right: str, wrong: str) -> None:
    with opened(f"verl:{name}") as target:
        target.use(target.examples())
        answer = target.examples()[0].answer
        good, bad = target.grade([(0, (right % answer,)), (0, (wrong,))])
    assert good.error == bad.error == ""
    assert good.reward == 1.0
    assert bad.reward is not None
    assert bad.reward < good.reward


@needs("verl")
def test_verl_custom_functions_take_reward_kwargs() -> None:
    with opened(f"verl:{FILE}:compute_score", bonus=0.25) as target:
        target.use(target.examples())
        answer = target.examples()[0].answer
        assert [p.reward for p in target.grade([(0, (answer,)), (0, ("no",))])] == [1.25, 0.25]


@needs("verl")
def test_verl_says_what_it_can_score() -> None:
    with pytest.raises(UsageError, match=r"scorer or data source of verl 'gsm'.*prime_code"):
        opened("verl:gsm")


# verifiers


@needs("verifiers")
def test_a_taskset_is_scored_by_traces() -> None:
    with opened(f"verifiers:{FILE}") as target:
        items = target.examples()
        assert [e.answer for e in items] == [a for _, a in library_targets.ROWS]
        target.use(items)
        assert [p.reward for p in target.grade([(0, ("65",)), (1, ("65",)), (1, ("first", "117"))])] == [1.0, 0.0, 1.0]
        assert "last_reply" in target.source()
    assert outcome(f"verifiers:{FILE}").outcome == FOOLED


@needs("verifiers")
def test_a_taskset_without_a_reward_that_works_here_cannot_be_looked_at() -> None:
    report = outcome(f"verifiers:{FILE}:Lonely")
    assert report.outcome == "could not look"
    assert "without a runtime" in report.reach.why


@needs("verifiers")
def test_an_unknown_taskset_is_named() -> None:
    with pytest.raises(UsageError, match="Known: Lonely, Sums"):
        opened(f"verifiers:{FILE}:Nope")


# Inspect


@needs("inspect-ai")
def test_a_shipped_scorer_and_its_arguments() -> None:
    with opened("inspect:pattern", pattern=r"is (\d+)") as target:
        target.use(target.examples())
        answer = target.examples()[0].answer
        assert [p.reward for p in target.grade([(0, (f"it is {answer}",)), (0, (answer,))])] == [1.0, 0.0]
    with pytest.raises(UsageError, match="pattern: str"):
        opened("inspect:pattern")


@needs("inspect-ai")
def test_a_task_brings_its_samples_and_scorers() -> None:
    with opened(f"inspect:{FILE}:sums", extra=1) as target:
        assert [e.answer for e in target.examples()] == ["66", "118", "147"]
    assert paid(f"inspect:{FILE}:sums", "it is 65", "65") == [1.0, 1.0]
    assert paid(f"inspect:{FILE}:sums", "it is 65", "65", scorer=1) == [0.0, 1.0]
    with pytest.raises(UsageError, match="has 2 scorers"):
        opened(f"inspect:{FILE}:sums", scorer=2)


@needs("inspect-ai")
def test_choices_are_marked_as_the_solver_would() -> None:
    assert paid(f"inspect:{FILE}:letters", "ANSWER: B", "ANSWER: A", "B or not") == [1.0, 0.0, 0.0]


@needs("inspect-ai")
def test_a_dict_of_scores_counts_by_its_mean() -> None:
    rows = [Example("What is 1 + 1?", "2", {})]
    assert paid(f"inspect:{FILE}:two_numbers", "2", "3", rows=rows) == [1.0, 0.5]


# OpenEnv


@needs("openenv")
def test_an_environment_is_played_to_its_end_and_its_rewards_add_up() -> None:
    with opened(f"openenv:{FILE}:Twice") as target:
        items = target.examples()
        assert [e.answer for e in items] == [a for _, a in library_targets.ROWS]
        target.use(items)
        calls = [(0, ("65",)), (0, ("65", "it is 65")), (0, ("65", "65", "65")), (1, ("65", "117"))]
        assert [p.reward for p in target.grade(calls)] == [0.5, 1.0, 1.0, 0.5]
    assert paid(f"openenv:{FILE}:Twice", "65", field="mood")[0].startswith("ValidationError")


@needs("openenv")
def test_an_environment_behind_an_address(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve = (
        "import uvicorn, library_targets as t; from openenv.core.env_server import create_app; "
        f"uvicorn.run(create_app(t.Twice, t.Say, t.Observation), port={port}, log_level='error')"
    )
    server = subprocess.Popen([sys.executable, "-c", serve], cwd=FILE.parent)
    try:
        _wait(port)
        assert paid(f"openenv:http://127.0.0.1:{port}", "65", "no", network=True) == [0.5, 0.0]
        with pytest.raises(CouldNotLook):
            opened(f"openenv:http://127.0.0.1:{port}")
    finally:
        server.kill()
        server.wait()


def _wait(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError("the server did not come up")


@needs("openenv")
def test_a_name_without_an_environment_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="names no environment"):
        opened("openenv:thing")
