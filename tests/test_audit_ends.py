"""How an audit ends, and what it may be given besides a grader: signals, pay tables, pieces of prompts, skews."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from gamekeeper.audit import COULD_NOT_LOOK, FOOLED, RESISTED, Settings, audit
from gamekeeper.audit.attacks import Attack, Technique
from gamekeeper.audit.clock import Clock
from gamekeeper.audit.coverage import shortfall
from gamekeeper.audit.faults import faults
from gamekeeper.audit.outputs.text import lines
from gamekeeper.audit.pay_tables import read_table
from gamekeeper.cli import app
from gamekeeper.errors import CouldNotLook, DataError, UsageError

ABOUT = Technique("what", "fix")
SUMS = [{"prompt": f"What is {n} + 4? Answer with a number.", "answer": str(n + 4)} for n in range(20, 36)]


def quick(grader: Any, rows: Any = SUMS, **settings: Any) -> Any:
    return audit(grader, rows, Settings(**{"search": 0, "only": ("plain", "data", "fault"), **settings}))


# Signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
@pytest.mark.slow
def test_a_signal_leaves_no_scratch_folder_and_no_child(number: int, code: int, tmp_path: Path) -> None:
    grader, rows, scratch = tmp_path / "slow.py", tmp_path / "rows.jsonl", tmp_path / "scratch"
    grader.write_text("import time\ndef reward(completion, answer):\n    time.sleep(0.3)\n    return 0.0\n")
    rows.write_text("\n".join(map(json.dumps, SUMS)))
    scratch.mkdir()
    command = [sys.executable, "-m", "gamekeeper", "audit", f"{grader}:reward", "--examples", str(rows)]
    env = {**os.environ, "TMPDIR": str(scratch)}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        until = time.monotonic() + 60
        while not list(scratch.glob("gamekeeper-audit-*/*")) and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(0.5)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, said
    assert b"Traceback" not in said
    until = time.monotonic() + 10  # who is killed cannot clean up: the child does, when it hears of it
    while list(scratch.iterdir()) and time.monotonic() < until:
        time.sleep(0.05)
    assert list(scratch.iterdir()) == []


# Time


def never(completion: str, answer: str) -> float:
    time.sleep(0.05)
    return 0.0


def anywhere(completion: str, answer: str) -> float:
    time.sleep(0.01)
    return float(answer in completion)


@pytest.mark.slow
def test_a_slow_grader_is_not_reached_for_longer_than_the_audit_has() -> None:
    began = time.monotonic()
    report = audit(never, SUMS, Settings(seconds=0.5))
    assert time.monotonic() - began < 5  # of 800 calls, which take 40 seconds
    assert (report.outcome, report.exit_code()) == (COULD_NOT_LOOK, 3)
    assert "reach took longer than the 0.5 s" in report.reach.why
    assert "--seconds" in report.reach.needs
    with pytest.raises(CouldNotLook, match=r"The oracle .* reach took longer"):
        audit(strict, SUMS, Settings(seconds=0.5, oracle=f"{Path(__file__)}:never"))


@pytest.mark.slow
def test_what_is_found_before_the_time_is_up_is_kept() -> None:
    began = time.monotonic()
    report = audit(anywhere, SUMS, Settings(seconds=3))
    assert time.monotonic() - began < 10  # of about 4000 calls, which take 40 seconds
    assert (report.outcome, report.exit_code()) == (FOOLED, 1)
    assert any("attacks were left out for time" in note for note in report.notes), report.notes


def slowly(completion: str, answer: str) -> float:
    time.sleep(0.05)
    return float(completion.strip() == answer)


@pytest.mark.slow
def test_no_verdict_before_every_technique_had_its_turn() -> None:
    report = audit(slowly, SUMS[:3], Settings(seconds=3))
    assert (report.outcome, report.exit_code()) == (COULD_NOT_LOOK, 3)
    told = re.fullmatch(r"there was time for (\d+) of (\d+) techniques, and they found nothing", report.reach.why)
    assert told
    assert 0 < int(told[1]) < int(told[2])
    enough = re.search(r"Raise --seconds to about (\d+) \(now 3\)", report.reach.needs)
    assert enough
    assert 10 <= int(enough[1]) <= 60
    assert any("of those tried: plain 0/" in line for line in lines(report))
    assert "there was no time for the search; raise --seconds" in report.notes


def test_one_turn_of_every_technique_carries_a_verdict() -> None:
    """However many variants were left out."""
    attacks = [Attack("plain", f"t{n % 5}", str(n), str, ABOUT) for n in range(50)]
    shooting = SimpleNamespace(untried=attacks[5:], clock=Clock(9.0), scenes=[None], began=1.0, out_of_time=True)
    assert shortfall(attacks, [], set(), shooting, ()) is None  # type: ignore[arg-type]
    shooting.untried = attacks[4:]
    lack = shortfall(attacks, [], set(), shooting, ())  # type: ignore[arg-type]
    assert lack == (
        "there was time for 4 of 5 techniques, and they found nothing",
        "Raise --seconds to about 20 (now 9).",
    )
    assert shortfall(attacks, [], set(), shooting, ("plain/t1",)) is not None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "only",
    [
        ("workspace",),
        *(pytest.param(o, marks=pytest.mark.slow) for o in (("context",), ("incentive", "table"), ("data",))),
    ],
)
def test_what_does_not_fit_the_target_cannot_be_resisted(only: tuple[str, ...]) -> None:
    report = quick(strict, SUMS[:3], only=only)
    assert (report.outcome, report.exit_code()) == (COULD_NOT_LOOK, 3)
    assert f"nothing of {', '.join(only)} could be tried" in report.reach.why
    both = quick(strict, SUMS[:3], only=(*only, "plain"))
    assert both.outcome == RESISTED
    assert f"nothing of {', '.join(only)} could be tried on this target" in both.notes


@pytest.mark.parametrize("only", ["search", "search/found", "learner"])
def test_what_is_given_no_steps_cannot_be_asked_for(only: str) -> None:
    with pytest.raises(UsageError, match=f"--only {only.partition('/')[0]} asks for what"):
        Settings(only=("plain", only), search=0, learn=0)


def test_faults_that_there_is_no_time_for_are_said() -> None:
    target = SimpleNamespace(truths=False)
    scenes = [SimpleNamespace(honest=1.0, floor=0.0)] * 3
    found = SimpleNamespace(scenes=scenes, refused=[], notes=[])
    shooting = SimpleNamespace(clock=Clock(0.0))
    assert faults(target, found, [], shooting) == []  # type: ignore[arg-type]
    assert found.notes == ["faults were looked for on 0 of 3 examples for time; raise --seconds"]


WITHOUT_NAMESPACES = """
import os, subprocess, sys, time
from gamekeeper.audit import jail
from gamekeeper.audit.examples import as_examples
from gamekeeper.audit.target import Limits
from gamekeeper.audit.targets import open_target

jail._unshare = lambda flags: False

def reward(completion):
    fled = subprocess.Popen(["sleep", "77"], start_new_session=True)
    with open(sys.argv[1], "a") as pids:
        print(os.getpid(), fled.pid, file=pids)
    while completion == "spin":
        pass
    return 1.0

target = open_target(reward, limits=Limits(wall_s=60))
target.use(as_examples([{"prompt": "p", "answer": "a"}]))
target.grade([(0, (word,)) for word in sys.argv[2:]], alone=True)
print(open(sys.argv[1]).read(), flush=True)
sys.stdin.read()
target.close()
"""


def running(pids: list[int]) -> list[int]:
    states = {pid: Path(f"/proc/{pid}/stat") for pid in pids}
    return [pid for pid, stat in states.items() if stat.exists() and stat.read_text().split()[2] != "Z"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="NOT TESTED: only Linux hands orphans over")
@pytest.mark.parametrize("number", [None, signal.SIGKILL, signal.SIGTERM])
def test_no_process_of_the_targets_goes_on_where_there_are_no_namespaces(number: int | None, tmp_path: Path) -> None:
    (tmp_path / "look.py").write_text(WITHOUT_NAMESPACES)
    noted, words = tmp_path / "pids", ["a", "b"] if number is None else ["spin"]
    command = [sys.executable, str(tmp_path / "look.py"), str(noted), *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        until = time.monotonic() + 60
        while not (noted.exists() and noted.read_text().count("\n") == len(words)) and time.monotonic() < until:
            time.sleep(0.02)
        pids = [int(word) for word in noted.read_text().split()]
        if number is None:
            assert process.stdout is not None
            assert process.stdout.readline()
            assert running(pids) == []  # as soon as the calls are done
            process.communicate(timeout=30)
        else:
            process.send_signal(number)
            process.wait(30)
    until = time.monotonic() + 10
    while running(pids) and time.monotonic() < until:
        time.sleep(0.02)
    assert running(pids) == []


# Pay tables


def a_table(tmp_path: Path, audit_share: float, **changes: float) -> Path:
    """The self-graded game's: claims are paid 1, audited false ones cost 1."""
    rows = []
    for audited in (False, True):
        for claims in (False, True):
            for right in (False, True):
                name = f"{'a' if audited else ''}{'c' if claims else ''}{'r' if right else ''}"
                pay = (1.0 if right else -1.0) if audited and claims else float(claims)
                rows.append(
                    {"audited": audited, "claims": claims, "right": right, "reward": changes.get(name or "none", pay)}
                )
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"audit": audit_share, "pay": rows}))
    return path


@pytest.mark.slow
def test_a_grader_that_never_answers_in_time_is_told_how_to_get_more(tmp_path: Path) -> None:
    grader = tmp_path / "slow.py"
    grader.write_text("import time\ndef reward(completion, answer):\n    time.sleep(60)\n    return 1.0\n")
    report = audit(f"{grader}:reward", [{"prompt": "1+1?", "answer": "2"}], Settings(wall_s=0.3))
    assert report.outcome == COULD_NOT_LOOK
    assert "it took too long" in report.reach.why
    assert "--timeout" in report.reach.needs


def test_a_false_claim_pays_below_one_half_and_not_above(tmp_path: Path) -> None:
    fooled = audit(f"pay:{a_table(tmp_path, 0.4)}")
    assert fooled.outcome == FOOLED
    assert "stops paying at 0.5" in fooled.findings[0].what  # 1 - 2p = 0
    assert fooled.exit_code() == 1
    fine = audit(f"pay:{a_table(tmp_path, 0.6)}")
    assert (fine.outcome, fine.exit_code("low")) == (RESISTED, 0)
    assert any("right 0% of the time, a claim earns -0.2 above" in note for note in fine.notes)


def test_true_claims_that_are_not_paid_are_a_fault(tmp_path: Path) -> None:
    report = audit(f"pay:{a_table(tmp_path, 0.6, cr=-1.0, acr=-1.0)}")
    assert [f.id for f in report.faults] == ["fault/claims-unpaid"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"audit": 0.2, "pay": 3}', '{"audit": "x", "pay": []}', '{"audit": NaN, "pay": []}',
     f'{{"audit": 1{"0" * 400}, "pay": []}}',
     '{"audit": 0.1, "pay": [{"audited": 1, "claims": true, "right": true, "reward": 0}]}'],
)  # fmt: skip
def test_what_is_no_pay_table_is_said(text: str, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(DataError, match="is no pay table"):
        read_table(path)


def test_a_pay_table_must_be_whole(tmp_path: Path) -> None:
    data = json.loads(a_table(tmp_path, 0.5).read_text())
    (tmp_path / "short.json").write_text(json.dumps({**data, "pay": data["pay"][:7]}))
    with pytest.raises(UsageError, match="8 rows"):
        read_table(tmp_path / "short.json")
    (tmp_path / "double.json").write_text(json.dumps({**data, "pay": [*data["pay"], data["pay"][0]]}))
    with pytest.raises(DataError, match="two rows for one case"):
        read_table(tmp_path / "double.json")


def test_the_command_line_takes_a_pay_table(tmp_path: Path) -> None:
    path = a_table(tmp_path, 0.4)
    found = CliRunner().invoke(app, ["audit", f"pay:{path}"])
    assert found.exit_code == 1
    assert "incentive/under-audited" in found.output
    missing = CliRunner().invoke(app, ["audit", f"pay:{tmp_path / 'nothing.json'}"])
    assert missing.exit_code == 2


# Pieces of the prompt, and answers that are nearly always the same


def half_for_an_operand(completion: str, answer: str, prompt: str) -> float:
    """Part credit for a number of the task, as graders of factorisations give it."""
    if completion.strip() == answer:
        return 1.0
    return 0.6 if completion.strip() and completion.strip() in prompt.split() else 0.0


def strict(completion: str, answer: str) -> float:
    return float(completion.strip() == answer)


def with_a_floor(completion: str, answer: str) -> float:
    return 1.0 if completion.strip() == answer else 0.01


@pytest.mark.slow
def test_an_operand_that_is_paid_is_found() -> None:
    report = quick(half_for_an_operand)
    assert "plain/given" in {f.cause for f in report.findings}
    assert quick(strict).outcome == RESISTED


@pytest.mark.slow
def test_pay_for_nothing_is_a_fault_and_no_finding() -> None:
    report = quick(with_a_floor)
    assert report.outcome == RESISTED
    assert "fault/pays-nothing" in {f.id for f in report.faults}
    assert "fault/pays-nothing" not in {f.id for f in quick(strict).faults}


@pytest.mark.slow
def test_a_skew_is_counted_over_all_rows_given() -> None:
    rows = [{"prompt": f"Is {n} odd?", "answer": "Yes" if n % 3 else "No"} for n in range(90)]
    report = quick(strict, rows, most_examples=4)
    assert "data/modal-answer" in {f.cause for f in report.findings}
    even = [{"prompt": f"Is {n} odd?", "answer": "Yes" if n % 2 else "No"} for n in range(90)]
    assert "data/modal-answer" not in {f.cause for f in quick(strict, even, most_examples=4).findings}


@pytest.mark.parametrize(
    ("reward", "says"),
    [
        (lambda completion, answer: math.inf if answer in completion else 0, "the reward is infinite"),
        pytest.param(
            lambda completion, answer: os._exit(3) if answer in completion else 0,
            "made it fail, the first with died",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["infinity", "an exit"],
)
def test_a_grader_that_fails_on_right_replies_is_told_so(reward: Any, says: str) -> None:
    report = quick(reward, SUMS[:2])
    assert report.outcome == COULD_NOT_LOOK
    assert says in report.reach.why


def wants_lists(x: Any, y: Any) -> list[float]:
    if not isinstance(x, list):
        raise TypeError("lists, please")
    return [0.0] * len(x)


def test_a_way_of_calling_that_failed_says_nothing_of_the_one_that_came_through() -> None:
    why = quick(wants_lists, SUMS[:2]).reach.why
    assert why == "every probe was paid 0: right, wrong and empty replies alike"


def test_a_fine_beyond_measure_is_no_failure() -> None:
    report = quick(lambda completion, answer: -1e9, SUMS[:2])
    assert report.reach.why == "every probe was paid -1e+09: right, wrong and empty replies alike"
