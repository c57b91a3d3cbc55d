"""What a case may use is what all its processes may use together, and what its claim may cost whoever reads it."""

from __future__ import annotations

import gc
import pickle
import tracemalloc
from collections.abc import Iterator

import pytest

from gamekeeper.sandbox import Case, Limits, Program, Sandbox, judge_value
from sandboxing import F, at_level, call, started

SPEND = """
import os, signal, time
def spend(seconds):
    while time.process_time() < seconds: pass
    os._exit(0)
"""
WAYS = {
    "one after the other": "for _ in range(x):\n        if os.fork() == 0: spend(0.1)\n        os.wait()",
    "all at once": "for _ in range(x):\n        if os.fork() == 0: spend(0.1)\n    for _ in range(x): os.wait()",
    "not waited for": "for _ in range(x):\n        if os.fork() == 0: spend(0.1)\n    time.sleep(0.2 * x)",
    "fled": (
        "for _ in range(x):\n        if os.fork() == 0:\n            os.setsid()\n"
        "            if os.fork() == 0: spend(0.1)\n"
        "            os._exit(0)\n        os.wait()\n    time.sleep(0.2 * x)"
    ),
}
FORGOTTEN = (
    "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n    for _ in range(x):\n        pid = os.fork()\n"
    "        if pid == 0: spend(0.1)\n        try: os.waitpid(pid, 0)\n        except OSError: pass"
)
SHORT = Limits(cpu_s=0.25, wall_s=20.0)


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with at_level("full") as sandbox:
        yield sandbox


def spending(way: str) -> str:
    return f"{SPEND}def f(x):\n    {way}\n    return x"


@pytest.mark.parametrize("way", WAYS)
def test_cpu_time_is_that_of_all_processes(box: Sandbox, way: str) -> None:
    result = call(box, spending(WAYS[way]), 12, limits=SHORT)
    assert (result.status, result.detail) == ("timeout", "CPU time")
    assert result.cpu_s < 1.0  # stopped on the way, and not only judged at the end
    assert call(box, spending(WAYS[way]), 1, limits=SHORT).value == 1


@pytest.mark.parametrize("way", ["one after the other", "all at once"])
def test_cpu_time_of_children_counts_at_the_lowest_level_too(way: str) -> None:
    with at_level("limits") as fresh:
        assert call(fresh, spending(WAYS[way]), 8, limits=SHORT).status == "timeout"
        assert call(fresh, spending(WAYS[way]), 1, limits=SHORT).value == 1


def test_children_cannot_be_forgotten_before_they_are_counted(box: Sandbox) -> None:
    assert call(box, spending(FORGOTTEN), 4, limits=SHORT).status == "error"
    ask = (
        "import signal\ndef f(x):\n    signal.getsignal(signal.SIGCHLD); signal.signal(signal.SIGTERM, print); return x"
    )
    assert call(box, ask, 3).value == 3


@pytest.mark.parametrize("level", ["full", "filtered"])
def test_memory_that_no_limit_counts_cannot_be_had(level: str) -> None:
    source = "import os\ndef f(x):\n    try: os.memfd_create('m')\n    except PermissionError: return x"
    with at_level(level) as fresh:
        assert call(fresh, source, 3).value == 3


@pytest.mark.slow
def test_a_claim_of_many_parts_is_refused_and_long_lists_are_not(box: Sandbox) -> None:
    limits = Limits(cpu_s=5.0, memory_mb=256, output_bytes=8 << 20)
    forged = "import os\ndef f(x): os.write(3, b'{\"value\":[[]' + b',[]' * x + b']}'); os._exit(0)"
    assert call(box, forged, 1_100_000, limits=limits).status == "error"
    result = call(box, "def f(x): return list(range(x))", 200_000, limits=limits)
    assert judge_value(result, list(range(200_000))) == "passed"


def test_large_values_are_not_held(box: Sandbox) -> None:
    program = Program("def f(x): return [[] for _ in range(x)]", F)
    gc.collect()
    tracemalloc.start()
    try:
        results = box.run_cases(program, [Case(args=(20_000,))] * 5)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 5 * 80_000  # what the claims are long; the values would be over a million bytes each
    assert judge_value(results[0], [[]] * 20_000) == "passed"
    assert pickle.loads(pickle.dumps(results[0])).value == results[0].value


def test_outputs_arrive_where_files_cannot_be_sent_to_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, whose sendfile takes sockets only."""
    change = (
        "import kernel, os\nkernel.LINUX = False\n"
        "def no(*rest): raise OSError(38, 'Socket operation on non-socket')\nos.sendfile = no\n"
    )
    monkeypatch.setattr("gamekeeper.sandbox.forkserver._START", started(change))
    with at_level("limits") as fresh:
        result = call(fresh, "def f(x): print('y' * x); return [x] * 3", 300_000, limits=Limits())
        assert (result.value, result.stdout) == ([300_000] * 3, "y" * 300_000 + "\n")
        assert call(fresh, "def f(x): return x", 1).value == 1
