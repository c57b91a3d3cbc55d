"""Attacks on the sandbox: none changes a verdict, harms the parent or another case, or leaves anything behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gamekeeper.sandbox import Case, Limits, Opaque, Program, Sandbox, judge_value, pool, run_cases
from sandboxing import FIND, QUICK, F, alive, at_level, call, children_of, idle_processes, own_processes, wait_for


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with at_level("full") as sandbox:
        yield sandbox


@pytest.fixture(scope="module", params=["filtered", "limits"])
def lower(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with at_level(request.param) as sandbox:
        yield sandbox


def test_a_forged_claim_is_only_a_claim(box: Sandbox) -> None:
    forged = call(box, """import os\nos.write(3, b'{"value":41}')\nos._exit(0)""", 1)
    assert judge_value(forged, 42) == "wrong"
    for text in (
        '{"passed":true}',
        '{"value":{"x":1}}',
        "[" * 9000,
        "{",
        '{"value":42}{"value":42}',
        '"passed"',
        "[1]",
    ):
        result = call(box, f"import os\nos.write(3, {text.encode()!r})\nos._exit(0)", 1)
        assert judge_value(result, 42) == "error", text


@pytest.mark.parametrize(
    "source",
    [
        "class E(int):\n    def __eq__(self, o): return True\n    __hash__ = int.__hash__\ndef f(x): return E(1)",
        "class E:\n    def __eq__(self, o): return True\ndef f(x): return [E()]",
        "from unittest.mock import ANY\ndef f(x): return ANY",
    ],
)
def test_an_object_that_equals_everything_equals_nothing(box: Sandbox, source: str) -> None:
    result = call(box, source, 1, limits=Limits())
    assert judge_value(result, 42) == "wrong"
    assert isinstance(result.value, Opaque)


def test_no_claim_to_have_never_started(box: Sandbox) -> None:
    source = """
        import os
        def f():
            open_before = []
            for fd in range(3, 64):
                try: os.write(fd, b'1'); open_before.append(fd)
                except OSError: pass
            os.lseek(3, 0, 0), os.ftruncate(3, 0)
            return open_before
    """
    result = call(box, source)
    assert (result.status, result.value) == ("finished", [3])  # the claim is the only channel there is


SECRET = "k" + "9731" * 5


def test_nothing_that_the_parent_knows_is_in_the_child(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPECTED", SECRET)
    source = (
        FIND
        + """
    import os, sys
    def f():
        wanted = ('k' + '9731' * 5).encode()
        told = wanted in open('/proc/self/cmdline', 'rb').read()
        frame, frames = sys._getframe(), []
        while frame: frames.append(frame.f_code.co_name); frame = frame.f_back
        return find(wanted), told, dict(os.environ), frames
    """
    )
    with at_level("full") as fresh:
        result = call(fresh, source, limits=Limits(memory_mb=256))
    assert judge_value(result, SECRET) == "wrong", result
    count, told, environment, frames = result.value
    assert count <= 4  # copies that the search itself makes
    assert told is False
    assert environment == {}
    inside = ["f", "_enter", "run", "_become_case", "_case", "serve", "_serve", "_run"]
    assert frames[: len(inside)] == inside
    assert frames[-2:] == ["main", "<module>"]


def test_a_case_finds_nothing_of_the_one_before(box: Sandbox) -> None:
    mark = "z" + "8642" * 6
    told = f"import sys\n#{mark}\ndef f(x): print(x); print(x, file=sys.stderr); return [x] * 50"
    assert call(box, told, mark).value == [mark] * 50
    search = FIND + "    def f(): return find(('z' + '8642' * 6).encode())"
    alone = call(box, search, limits=Limits(memory_mb=256)).value
    assert call(box, told, mark).value == [mark] * 50
    assert call(box, search, limits=Limits(memory_mb=256)).value <= alone <= 4


def test_the_server_cannot_be_read_or_traced(box: Sandbox) -> None:
    source = """
        import os
        def f():
            told = []
            for name in ('mem', 'environ', 'fd/10', 'maps'):
                try: told.append(open(f'/proc/{os.getppid()}/{name}', 'rb').read(1))
                except OSError as error: told.append(type(error).__name__)
            return told
    """
    assert set(call(box, source).value) <= {"PermissionError", "FileNotFoundError"}


def test_one_case_cannot_change_the_next(box: Sandbox) -> None:
    first = """
        import builtins, json, os, sys
        def f():
            before = (os.listdir('.'), 'mark' in vars(builtins), 'MARK' in os.environ, sys.getrecursionlimit())
            builtins.mark = 1; os.environ['MARK'] = '1'; sys.setrecursionlimit(77)
            os.umask(0)
            os.makedirs('deep/er/est'); os.chmod('deep/er', 0)
            open('file', 'w').write('x'); os.mkdir('folder'); os.symlink('/etc', 'link'); os.chmod('.', 0)
            return before
    """
    found = [call(box, first) for _ in range(3)]
    assert [r.value for r in found] == [([], False, False, 1000)] * 3


def test_a_deeply_nested_folder_is_cleaned_and_links_are_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if Path("/dev/shm").is_dir():
        monkeypatch.setattr(tempfile, "tempdir", "/dev/shm")  # thousands of folders on a busy disk take long
    kept = tmp_path / "kept"
    kept.write_text("here")
    source = f"""
        import os
        def f():
            os.symlink({str(tmp_path)!r}, 'link')
            for _ in range(3000):
                os.mkdir('d'); os.chdir('d')
    """
    with at_level("limits") as fresh:
        assert call(fresh, source, limits=Limits()).status == "finished"
        server = fresh._servers[0]
        assert call(fresh, "import os\ndef f(): return os.listdir('.')").value == []
        assert fresh._servers == [server]
    assert kept.read_text() == "here"


def test_a_fork_bomb_ends_and_leaves_nothing(box: Sandbox) -> None:
    source = """
        import os
        def f():
            while True:
                try: os.fork()
                except OSError: pass
    """
    assert call(box, source, limits=Limits(cpu_s=0.5, wall_s=1.0)).status == "timeout"
    assert own_processes(box) == idle_processes(box)
    assert call(box, "def f(x): return x", 3).value == 3


def test_processes_and_threads_are_counted(box: Sandbox) -> None:
    source = """
        import os, threading, time
        def f(threads):
            for n in range(99):
                try:
                    if threads: threading.Thread(target=time.sleep, args=[9]).start()
                    elif os.fork() == 0: time.sleep(9)
                except (OSError, RuntimeError): return n
    """
    for threads in (False, True):
        assert call(box, source, threads, limits=Limits(processes=5)).value == 5


def test_descendants_that_fled_are_killed(box: Sandbox) -> None:
    source = """
        import os, time
        def f():
            read, write = os.pipe()
            if os.fork() == 0:
                os.setsid()
                if os.fork(): os._exit(0)
                os.write(write, b'away')
                time.sleep(60)
            return os.read(read, 4)
    """
    assert call(box, source).value == b"away"
    assert own_processes(box) == idle_processes(box)


def test_a_thread_that_outlives_the_call_ends_with_it(box: Sandbox) -> None:
    source = (
        "import threading, time\ndef f():\n    threading.Thread(target=time.sleep, args=(60,)).start()\n    return 1"
    )
    start = time.monotonic()
    assert call(box, source).value == 1
    assert time.monotonic() - start < 5


STRIKES = {
    "kill": "os.kill(os.getppid(), 9); return 42",
    "stop": "os.kill(os.getppid(), signal.SIGSTOP); return 42",
    "interrupt": "os.kill(os.getppid(), signal.SIGINT); return 42",
}


@pytest.mark.parametrize("how", STRIKES)
def test_a_case_cannot_signal_its_server(box: Sandbox, how: str) -> None:
    call(box, "def f(x): return x", 1)
    server = box._servers[0]
    result = call(box, f"import os, signal\ndef f(): {STRIKES[how]}")
    assert (result.status, result.value) == ("finished", 42)
    assert call(box, "def f(x): return x", 3).value == 3
    assert box._servers == [server]


def test_at_the_filtered_level_a_case_signals_itself_only_and_starts_no_process() -> None:
    source = """
        import os, signal
        def f():
            told = []
            for strike in (lambda: os.kill(os.getppid(), 9), lambda: os.kill(-1, 9), os.fork):
                try: told.append(strike())
                except OSError as error: told.append(type(error).__name__)
            os.kill(os.getpid(), 0)
            return told
    """
    with at_level("filtered") as fresh:
        assert call(fresh, source).value == ["PermissionError"] * 3


def test_a_case_that_brings_down_its_server_is_killed_and_no_other() -> None:
    bad = Program("import os\ndef f(x): os.kill(os.getppid(), 9); return 42", F)
    good = Program("def f(x): return x", F)
    with at_level("limits") as fresh:
        found = fresh.run_many(
            [(good, [Case(args=(i,)) for i in range(5)]), (bad, [Case(args=(1,))]), (good, [Case(args=(7,))])]
        )
    assert [r.value for r in found[0]] == [0, 1, 2, 3, 4]
    assert found[1][0].status == "killed"
    assert found[2][0].value == 7


@pytest.mark.slow
def test_a_server_that_is_stopped_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_GRACE_S", 0.2)
    source = "import os, signal\ndef f(): os.kill(os.getppid(), signal.SIGSTOP); os.kill(os.getpid(), signal.SIGSTOP)"
    with at_level("limits") as fresh:
        assert call(fresh, source, limits=Limits(wall_s=0.2)).status == "killed"
        assert call(fresh, "def f(x): return x", 3).value == 3


def test_descendants_are_killed_and_nothing_is_kept_at_the_lower_levels_too(lower: Sandbox) -> None:
    flee = """
        import os, time
        def f():
            if os.fork() == 0:
                os.setsid()
                if os.fork(): os._exit(0)
                time.sleep(60)
            return 1
    """
    assert call(lower, flee).status == ("finished" if lower.level() == "limits" else "error")
    assert own_processes(lower) == idle_processes(lower)
    write = "import os\ndef f():\n    seen = os.listdir('.'); open('left', 'w').write('x')\n    return seen"
    told = [call(lower, write) for _ in range(2)]
    wanted = [("finished", [])] * 2 if lower.level() == "limits" else [("error", None)] * 2
    assert [(r.status, r.value) for r in told] == wanted


# Processes that come and go around the sandbox


PARENT = """
import sys
from gamekeeper.sandbox import *
from gamekeeper.sandbox import pool
box = Sandbox(workers=1)
box.layers()
server = box._servers[0]
print(server.process.pid, server.base, flush=True)
source = "import time\\ndef f(): time.sleep(100)"
box.run_cases(Program(source, Entry("function", "f")), [Case()], Limits(wall_s=100.0))
"""


def test_a_killed_parent_leaves_neither_process_nor_folder() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, base = parent.stdout.readline().split()
        (inner,) = wait_for(lambda: children_of(int(pid)))
        case = [inner, *wait_for(lambda: children_of(inner))]
        parent.kill()
    assert wait_for(lambda: not alive(int(pid)))
    assert wait_for(lambda: not any(alive(c) for c in case))
    assert wait_for(lambda: not Path(base).exists())


def test_a_forked_copy_of_the_parent_gets_servers_of_its_own() -> None:
    assert run_cases(Program("def f(x): return x", F), [Case(args=(1,))])[0].value == 1
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = int(run_cases(Program("def f(x): return x", F), [Case(args=(0,))])[0].value)
            pool._shared.close()
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert run_cases(Program("def f(x): return x", F), [Case(args=(2,))])[0].value == 2


def test_threads_take_turns(box: Sandbox) -> None:
    found: dict[int, list[int]] = {}

    def work(i: int) -> None:
        cases = [Case(args=(x,)) for x in range(5)]
        found[i] = [r.value for r in box.run_cases(Program(f"def f(x): return x + {i}", F), cases, QUICK)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: [x + i for x in range(5)] for i in range(4)}


def test_an_interrupted_call_leaves_no_results_to_the_next(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pool, "read_result", interrupt)
        with pytest.raises(KeyboardInterrupt):
            box.run_cases(Program("def f(x): return x", F), [Case(args=(i,)) for i in range(20)])
    assert call(box, "def f(x): return x", 77).value == 77


@pytest.mark.parametrize(
    ("executable", "reason"),
    [("/nonexistent/python", "cannot be started"), ("/bin/true", "gone"), ("/bin/false", "gone")],
)
def test_no_server_is_no_verdict(monkeypatch: pytest.MonkeyPatch, executable: str, reason: str) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with Sandbox(workers=1) as fresh:
        result = call(fresh, "def f(x): return x", 1)
    assert result.status == "isolation-failed"
    assert reason in result.detail


def test_closing_leaves_no_process_and_the_next_call_starts_anew(box: Sandbox) -> None:
    with Sandbox(workers=1) as fresh:
        assert call(fresh, "def f(x): return x", 1).value == 1
        server = fresh._servers[0]
    assert not alive(server.process.pid)
    assert not Path(server.base).exists()
    assert call(fresh, "def f(x): return x", 2).value == 2
    fresh.close()


def test_many_cases_leave_nothing_behind(box: Sandbox) -> None:
    call(box, "def f(x): return x", 1)
    server = box._servers[0]

    def held() -> tuple[int, int]:
        own = len(os.listdir("/proc/self/fd"))
        return own, sum(1 for _ in children_of(server.process.pid))

    before = held()
    program = Program("def f(x):\n    if x % 20 == 0: open('left', 'w').write('x')\n    return x", F)
    assert [r.value for r in box.run_cases(program, [Case(args=(i,)) for i in range(200)], QUICK)] == list(range(200))
    assert held() == before
    assert box._servers[0] is server
