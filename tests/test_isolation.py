"""The levels of isolation, the refusal below them, the doctor, and the sandbox on its own: JSON in, verdicts out."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import random
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamekeeper.cli import isolating
from gamekeeper.cli.application import app
from gamekeeper.errors import DataError, UnknownName, UsageError
from gamekeeper.sandbox import Case, Entry, IsolationTooLow, Limits, Program, Sandbox, doctor, jobs, layers
from sandboxing import LOWER, QUICK, F, alive, at_level, call, children_of, idle_processes, own_processes, wait_for

SRC = Path(__file__).parents[1] / "src"


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with at_level("full") as sandbox:
        yield sandbox


# Levels


def test_a_level_needs_its_layers_and_those_below() -> None:
    every = set(layers.LAYERS)
    assert layers.level_of(every) == "full"
    assert layers.level_of(every - {"other-user"}) == "full"  # for root only
    assert layers.level_of(every - {"pid-namespace"}) == "filtered"
    assert layers.level_of(every - {"hidden-server"}) == "filtered"
    assert layers.level_of(every - {"landlock"}) == "filtered"  # the private root closes files
    assert layers.level_of(every - {"landlock", "mount-namespace"}) == "limits"
    assert layers.level_of(every - {"seccomp"}) == "limits"
    assert layers.level_of({"process"}) == "none"
    assert layers.missing(every - {"seccomp", "pid-namespace"}, "full") == ["seccomp", "pid-namespace"]
    assert layers.missing(every, "full") == []


@given(st.sets(st.sampled_from(list(layers.LAYERS))))
@settings(deadline=None)
def test_a_level_is_reached_exactly_if_nothing_is_missing(held: set[str]) -> None:
    reached = layers.level_of(held)
    for i, level in enumerate(layers.LEVELS):
        met = reached != "none" and i <= layers.LEVELS.index(reached)
        assert (layers.missing(held, level) == []) is met


def test_the_highest_level_is_taken_here_or_the_reason_is_told() -> None:
    with Sandbox(workers=1, require="limits") as fresh:
        if fresh.level() != "full":
            pytest.skip(f"this system grants {fresh.level()!r}: {fresh.refused()}")
        assert set(layers.LAYERS) - set(fresh.layers()) <= {"other-user"}


@pytest.mark.parametrize("level", LOWER)
def test_below_the_required_level_nothing_runs_and_the_error_says_what_to_do(level: str) -> None:
    at_level(level).close()
    with (
        Sandbox(workers=1, require="full", without=LOWER[level]) as fresh,
        pytest.raises(IsolationTooLow, match=rf"{level!r}, and 'full' is required.*pid-namespace.*gamekeeper doctor"),
    ):
        call(fresh, "def f(x): return x", 1)
    assert IsolationTooLow.exit_code == 3


def test_a_refused_call_leaves_no_server() -> None:
    with Sandbox(workers=1, require="full", without=["pid-namespace"]) as fresh:
        for _ in range(2):
            with pytest.raises(IsolationTooLow):
                call(fresh, "def f(x): return x", 1)
        assert fresh._servers == []


def test_the_default_is_the_promise_for_the_platform_and_the_environment_may_change_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(layers.VARIABLE, raising=False)
    for platform, level in (("linux", "filtered"), ("darwin", "limits")):
        monkeypatch.setattr(sys, "platform", platform)
        assert layers.default_level() == level
    monkeypatch.setenv(layers.VARIABLE, "full")
    assert layers.default_level() == "full"
    monkeypatch.setenv(layers.VARIABLE, "ful")
    with pytest.raises(UnknownName, match="Did you mean 'full'"):
        layers.default_level()


def test_advice_names_the_switch_that_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    told = {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"}
    monkeypatch.setattr(layers, "_first_line", lambda path: told.get(path, ""))
    wanted = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    assert wanted in layers.how_to_get(["user-namespace"])
    told.clear()
    assert "--security-opt seccomp=unconfined" in layers.how_to_get(["pid-namespace"])
    assert "Linux 5.13" in layers.how_to_get(["landlock"])
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "Linux only" in layers.how_to_get(["landlock"])


def test_an_ordinary_user_gets_the_full_level(tmp_path: Path) -> None:
    """By namespaces of its own; as root the tests above go the other way."""
    with Sandbox(workers=1, require="limits") as fresh:
        if os.geteuid() != 0 or fresh.level() != "full":
            pytest.skip("only root can become an ordinary user to try this")
    python = next((p for p in (shutil.which("python3", path="/usr/bin"), sys.executable) if p and as_nobody(p)), None)
    if python is None:
        pytest.skip("no interpreter of Python 3.11 or newer that an ordinary user can read: not tested")
    source = (
        "from gamekeeper.sandbox import *\n"
        "box = Sandbox(workers=1, require='full')\n"
        "r = box.run_cases(Program('def f(x): return x + 7', Entry('function', 'f')), [Case(args=(2,))])\n"
        "print(box.level(), 'other-user' in box.layers(), r[0].value)\n"
    )
    done = nobody(python, "-c", source)
    assert done.stdout.split() == ["full", "False", "9"], done.stderr


@pytest.mark.parametrize("namespaces", ["0", "100"])
def test_root_that_can_become_nobody_else_is_held_all_the_same(namespaces: str) -> None:
    """As in `unshare --map-root-user`, bubblewrap and some containers: root's id and no other."""
    inside = ["unshare", "--user", "--map-root-user", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("no user namespace can be made here by unshare(1): not tested")
    source = (
        "from gamekeeper.sandbox import *\n"
        "box = Sandbox(workers=1, require='filtered')\n"
        "act = 'def f(x):\\n import os\\n try: os.chown(\".\", 1, 1)\\n except OSError: return x + 7'\n"
        "r = box.run_cases(Program(act, Entry('function', 'f')), [Case(args=(2,))])\n"
        "print(box.level(), box.refused()['other-user'], r[0].value, sep=', ')\n"
    )
    command = 'echo "$1" > /proc/sys/user/max_user_namespaces; exec "$2" -c "$3"'
    setting = {**os.environ, "PYTHONPATH": str(SRC)}
    done = subprocess.run(
        [*inside, command, "sh", namespaces, sys.executable, source], capture_output=True, text=True, env=setting
    )
    level = "full" if int(namespaces) else "filtered"
    assert done.stdout == f"{level}, this user namespace has no other, 9\n", done.stderr


def nobody(*command: str) -> subprocess.CompletedProcess[str]:
    setting = {"PYTHONPATH": str(SRC), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, user=65534, group=65534, extra_groups=[], cwd="/", env=setting, capture_output=True, text=True
    )


def as_nobody(python: str) -> bool:
    try:
        return nobody(python, "-c", "import sys; assert sys.version_info >= (3, 11)").returncode == 0
    except OSError:
        return False


# The doctor


def test_the_doctor_finds_every_layer_that_the_sandbox_claims() -> None:
    with Sandbox(workers=1, require="limits") as fresh:
        claimed = set(fresh.layers())
    found = {f.layer: f.state for f in doctor.examine()}
    assert list(found) == list(layers.LAYERS)
    assert {layer for layer, state in found.items() if state != doctor.REFUSED} == claimed
    assert doctor.BROKEN not in found.values()
    assert sum(state == doctor.HOLDS for state in found.values()) >= len(claimed) - 2, found


def test_the_doctor_sees_a_layer_that_is_up_and_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = dataclasses.replace(doctor.PROBES["seccomp"], source="def f(where): return True")
    monkeypatch.setattr(doctor, "PROBES", {**doctor.PROBES, "seccomp": probe})
    monkeypatch.setattr(doctor, "LAYERS", {"seccomp": "calls are closed"})
    (finding,) = doctor.examine()
    assert (finding.layer, finding.state) == ("seccomp", doctor.BROKEN)


# On its own: the command line and JSON

JOB = {"program": "def f(x): return x + 7", "entry": "function f", "cases": [{"args": [2], "expected": 9}]}


def run_app(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = app(list(words), standalone_mode=False)
    out, err = capsys.readouterr()
    return code, out, err


def test_sandbox_run_grades_lines_of_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "jobs.jsonl"
    wrong = {**JOB, "cases": [{"args": [2], "expected": 9}, {"args": [2], "expected": {"t": [9]}}]}
    path.write_text(json.dumps(JOB) + "\n\n" + json.dumps(wrong) + "\n")
    code, out, _ = run_app(capsys, "sandbox", "run", str(path))
    told = [json.loads(line) for line in out.splitlines()]
    assert [t["verdicts"] for t in told] == [["passed"], ["passed", "wrong"]]
    assert (code, told[0]["passed"], told[1]["passed"]) == (1, True, False)
    path.write_text(json.dumps({"program": "print(int(input()) * 2)", "cases": [{"stdin": "4\n", "expected": "8"}]}))
    assert run_app(capsys, "sandbox", "run", str(path))[0] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1: not JSON"),
        ("[1]", "line 1: A job is a JSON object"),
        ('{"program": "", "cases": []}', "needs `cases`"),
        ('{"program": "", "cases": [{}], "entry": "function f"}', "`expected`"),
        ('{"program": "", "cases": [{"expected": 1}]}', "texts for `stdin`"),
        ('{"program": "", "cases": [{"expected": {"q": 1}}], "entry": "function f"}', "cannot be read"),
        ('{"program": "", "cases": [{"expected": "1"}], "entry": "functoin f"}', "Did you mean 'function'"),
        ('{"program": "", "cases": [{"expected": "1"}], "limits": {"cpu": 1}}', "Unknown key of a limit"),
        ('{"program": "", "cases": [{"expected": "1"}], "extra": 1}', "Unknown key of a job"),
        ("[" * 100_000, "line 1: not JSON"),
    ],
)
def test_a_malformed_job_is_told_by_its_line(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(jobs.read_jobs(io.StringIO(text)))


def test_what_a_job_says_reaches_the_sandbox() -> None:
    job = jobs.job_of({**JOB, "entry": "method S.go", "limits": {"cpu_s": 1, "memory_mb": 32}, "prelude": "x = 1"})
    assert (job.program.entry, job.program.prelude) == (Entry("method", "S.go"), "x = 1")
    assert job.limits == Limits(cpu_s=1, memory_mb=32)
    with pytest.raises(UsageError, match=r"Limits\.files"):
        jobs.limits_of({"files": 1})


def test_the_module_speaks_json_too() -> None:
    setting = {**os.environ, "PYTHONPATH": str(SRC)}
    command = [sys.executable, "-m", "gamekeeper.sandbox"]
    done = subprocess.run(command, input=json.dumps(JOB), capture_output=True, text=True, env=setting)
    assert (done.returncode, json.loads(done.stdout)["verdicts"]) == (0, ["passed"]), done.stderr
    done = subprocess.run(command, input="{", capture_output=True, text=True, env=setting)
    assert (done.returncode, done.stdout, done.stderr[:14]) == (2, "", "error: line 1:")
    low = {**setting, layers.VARIABLE: "full"}
    script = (
        "import gamekeeper.sandbox.layers as l; l.LAYERS.pop('seccomp')\n"
        "import gamekeeper.sandbox.__main__ as m; m.sys.exit(m.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(JOB), capture_output=True, text=True, env=low
    )
    assert (done.returncode, "is required" in done.stderr) == (3, True), done.stderr


def test_the_module_ends_quietly_when_nobody_reads_on() -> None:
    code = f"{shlex.quote(sys.executable)} -m gamekeeper.sandbox | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", code],
        input=(json.dumps(JOB) + "\n") * 3,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SRC)},
    )
    assert (done.returncode, done.stderr) == (141, "")


def test_run_requires_isolation_of_games_that_run_code_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []
    monkeypatch.setattr("gamekeeper.sandbox.require_isolation", lambda level: asked.append(level) or "limits")
    isolating.require_for(SimpleNamespace(runs_code=False), "full")  # type: ignore[arg-type]
    isolating.require_for(SimpleNamespace(runs_code=True), "full")  # type: ignore[arg-type]
    assert asked == ["full"]
    with pytest.raises(UnknownName, match="Did you mean 'full'"):
        isolating.require_for(SimpleNamespace(runs_code=False), "ful")  # type: ignore[arg-type]


def test_the_doctors_page_names_level_and_layers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = dict.fromkeys(layers.LAYERS, doctor.HOLDS)
    monkeypatch.setattr(doctor, "examine", lambda: (doctor.Finding(n, s, "why") for n, s in state.items()))
    code, out, _ = run_app(capsys, "doctor")
    assert (code, "isolation level: full" in out) == (0, True)
    state["pid-namespace"] = doctor.REFUSED
    code, out, err = run_app(capsys, "doctor", "--require-isolation", "full")
    assert (code, "isolation level: filtered" in out, "pid-namespace (why)" in err) == (3, True, True)
    state["seccomp"] = doctor.BROKEN
    code, out, err = run_app(capsys, "doctor", "--json")
    assert (code, json.loads(out)["level"], "let an attack through: seccomp" in err) == (1, "limits", True)


# Endurance

PARENT = """
import sys, threading
from gamekeeper.sandbox import *
box = Sandbox(workers=2)
box.layers()
print(box._servers[0].process.pid, flush=True)
source = "import os, time\\ndef f(x):\\n    if x % 7 == 0: os.fork()\\n    time.sleep(x % 3 * 0.01)"
while True: box.run_cases(Program(source, Entry("function", "f")), [Case(args=(i,)) for i in range(40)])
"""


@pytest.mark.slow
def test_a_parent_killed_at_any_moment_leaves_nothing(tmp_path: Path) -> None:
    chance = random.Random(5)
    setting = {**os.environ, "PYTHONPATH": str(SRC), "TMPDIR": str(tmp_path)}
    for _ in range(25):
        with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=setting, text=True) as parent:
            if chance.random() < 0.7:
                assert parent.stdout is not None
                parent.stdout.readline()
            time.sleep(chance.random() * 0.4)
            family = descendants(parent.pid)
            parent.kill()
        assert wait_for(lambda family=family: not any(alive(pid) for pid in family)), family
        if not family:  # in the instant before a server's process is there, nobody is left to remove its empty folder
            for folder in tmp_path.iterdir():
                shutil.rmtree(folder)
        assert wait_for(lambda: not list(tmp_path.iterdir()), 20), list(tmp_path.iterdir())


def descendants(pid: int) -> list[int]:
    try:
        children = children_of(pid)
    except OSError:
        return []
    return [*children, *(grand for child in children for grand in descendants(child))]


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_hundred_thousand_cases_through_one_sandbox_without_growth(box: Sandbox) -> None:
    program = Program(
        "import os, time\n"
        "def f(x):\n"
        "    if x % 50 == 0: open('left', 'w').write('x')\n"
        "    if x % 97 == 0: print('y' * x)\n"
        "    if x % 1001 == 0 and os.fork() == 0: os.setsid(); time.sleep(60)\n"
        "    return x * 3",
        F,
    )

    def batch(size: int) -> float:
        start = time.monotonic()
        results = box.run_cases(program, [Case(args=(x,)) for x in range(size)], QUICK)
        assert [r.value for r in results] == [3 * x for x in range(size)]
        return (time.monotonic() - start) / size

    def held() -> tuple[int, int, int]:
        (inner,) = children_of(box._servers[0].process.pid)
        pages = Path(f"/proc/{inner}/statm").read_text().split()[1]
        return int(pages), len(os.listdir(f"/proc/{inner}/fd")), len(os.listdir("/proc/self/fd"))

    batch(3000)
    servers, before, own = list(box._servers), held(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = [batch(5000) for _ in range(20)]
    pages, theirs, ours = held()
    assert box._servers == servers
    assert (theirs, ours) == before[1:]
    assert pages <= before[0] + 64  # pages of 4 kB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < own + 32_000
    assert own_processes(box) == idle_processes(box)
    # Other work on the machine comes and goes: the fastest batches tell of the sandbox.
    assert min(times[10:]) < 1.5 * min(times[:10]), times
