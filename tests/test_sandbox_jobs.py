"""Jobs from strangers' hands: every line gets a verdict or a clear error, and the exit code says which."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gamekeeper.cli.application import app
from gamekeeper.errors import UsageError
from gamekeeper.sandbox import Limits, Sandbox, jobs, pool

SRC = Path(__file__).parents[1] / "src"
JOB = {"program": "def f(x): return x + 7", "entry": "function f", "cases": [{"args": [2], "expected": 9}]}
MODULE = ("-m", "gamekeeper.sandbox")
VERB = ("-c", "from gamekeeper.cli.application import app; app()", "sandbox", "run")


def run(command: tuple[str, ...], lines: str | bytes, redirect: str = "") -> subprocess.CompletedProcess[bytes]:
    setting = {**os.environ, "PYTHONPATH": str(SRC)}
    data = lines.encode() if isinstance(lines, str) else lines
    words = ["sh", "-c", f'exec "$@" {redirect}', "sh", sys.executable, *command]
    return subprocess.run(words, input=data, capture_output=True, env=setting)


@pytest.mark.parametrize("command", [MODULE, VERB], ids=["module", "verb"])
def test_no_claim_of_a_program_costs_the_jobs_after_it(command: tuple[str, ...]) -> None:
    forged = """import os; os.write(3, b'{"value":' + b'['*65 + b']'*65 + b'}'); os._exit(0)"""
    bad = {"program": forged, "entry": "function f", "cases": [{"expected": 1}]}
    done = run(command, "\n".join(map(json.dumps, [JOB, bad, JOB])))
    told = [json.loads(line)["verdicts"] for line in done.stdout.splitlines()]
    assert (told, done.returncode, done.stderr) == ([["passed"], ["error"], ["passed"]], 1, b"")


@pytest.mark.parametrize("command", [MODULE, VERB], ids=["module", "verb"])
@pytest.mark.parametrize(("redirect", "said"), [("<&-", b"is closed"), (">/dev/full", b"No space left")])
def test_a_stream_that_fails_is_a_clear_error(command: tuple[str, ...], redirect: str, said: bytes) -> None:
    done = run(command, json.dumps(JOB), redirect)
    assert (done.returncode, said in done.stderr, b"Traceback" in done.stderr) == (3, True, False), done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("command", [MODULE, VERB], ids=["module", "verb"])
def test_bytes_that_are_no_text_are_told_by_their_line(command: tuple[str, ...]) -> None:
    done = run(command, json.dumps(JOB).encode() + b"\n\xff\xfe\n")
    assert (done.returncode, b"line 2: not JSON" in done.stderr, done.stdout.count(b"\n")) == (2, True, 1)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"memory_mb": 1e999}, r"Limits\.memory_mb must be a whole number of at least 8"),
        ({"memory_mb": float("nan")}, r"Limits\.memory_mb must be a whole number .*, got nan"),
        ({"memory_mb": 32.5}, r"Limits\.memory_mb must be a whole number"),
        ({"wall_s": 2e9}, r"Limits\.wall_s must be a number of at least 0\.01 and at most 1000000, got 2000000000"),
        ({"wall_s": float("inf")}, r"Limits\.wall_s .*, got inf"),
        ({"cpu_s": float("nan")}, r"Limits\.cpu_s .*, got nan"),
        ({"output_bytes": 1 << 40}, r"Limits\.output_bytes .* at most 2147483647"),
    ],
)
def test_a_limit_that_is_no_limit_is_refused(limits: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        jobs.job_of({**JOB, "limits": json.loads(json.dumps(limits))})
    with pytest.raises(UsageError, match=message):
        Limits(**limits)  # type: ignore[arg-type]


def test_the_longest_limits_work() -> None:
    job = jobs.job_of({**JOB, "limits": {"wall_s": 1e6, "cpu_s": 1e6, "memory_mb": 512.0}})
    with Sandbox(workers=1) as box:
        assert [g.verdict for g in jobs.grade(box, job)] == ["passed"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cases": [{"args": "abc", "expected": 9}]}, "`args` of a case is a list"),
        ({"cases": [{"args": {"t": [1]}, "expected": 9}]}, "`args` of a case is a list"),
        ({"cases": [{"args": None, "expected": 9}]}, "`args` of a case is a list"),
        ({"prelude": ["x"]}, "`prelude` is source text, got list"),
        ({"prelude": None}, "`prelude` is source text"),
    ],
)
def test_what_is_of_another_type_is_refused_and_not_reread(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        jobs.job_of({**JOB, **change})


def test_a_case_that_was_not_run_is_no_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_text(json.dumps({**JOB, "prelude": "1 / 0"}) + "\n" + json.dumps(JOB))
    code = app(["sandbox", "run", str(path)], standalone_mode=False)
    out, err = capsys.readouterr()
    assert [json.loads(line)["verdicts"] for line in out.splitlines()] == [["isolation-failed"], ["passed"]]
    assert (code, "1 cases could not be run: the prelude failed" in err) == (3, True), err
    done = run(MODULE, path.read_text())
    assert (done.returncode, b"could not be run" in done.stderr) == (3, True), done.stderr


@pytest.mark.parametrize(("name", "message"), [("sys", "built-in"), ("zipimport", "frozen"), ("odd", "not installed")])
def test_a_package_without_files_is_refused(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "odd", ModuleType("odd"))
    with pytest.raises(UsageError, match=message):
        pool.find_packages([name])
