"""Cases a second at full isolation, against a fresh interpreter and against a plain fork, in turns in one process.

Two kinds of case: a bare function of one line, and a LeetCode method with the imports that such programs are given. The
sandbox has the imports in its warm server; a fresh interpreter makes them each time. The plain fork is the public
reference's: of the process that trains, which has its libraries loaded, with a pipe for the answer and no isolation.
Prints one JSON line; every round measures all sides, so that ratios are of the same minute.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

from gamekeeper.games.tamper_prelude import PRELUDE
from gamekeeper.sandbox import Case, Entry, Program, Sandbox

FUNCTION = "def f(x): return x + 7"
METHOD = "class Solution:\n    def f(self, xs: List[int]) -> int:\n        return max(Counter(xs).values())"
KINDS: dict[str, tuple[Program, Case, str]] = {
    "function": (
        Program(FUNCTION, Entry("function", "f")),
        Case(args=(2,)),
        f"{FUNCTION}\nprint(f(2))",
    ),
    "method": (
        Program(METHOD, Entry("method", "Solution.f"), PRELUDE),
        Case(args=([1, 2, 2, 3],)),
        f"{PRELUDE}\n{METHOD}\nprint(Solution().f([1, 2, 2, 3]))",
    ),
}


def sandboxed(box: Sandbox, kind: str, count: int) -> None:
    program, case, _ = KINDS[kind]
    results = box.run_cases(program, [case] * count)
    if any(r.status != "finished" for r in results):
        raise SystemExit(f"a case failed: {next(r for r in results if r.status != 'finished')}")


def fresh(kind: str, count: int, at_once: int = 1) -> None:
    """A new interpreter for each case, isolated from the user's settings only."""
    command = [sys.executable, "-I", "-c", KINDS[kind][2]]

    def one(_: int) -> None:
        subprocess.run(command, capture_output=True, check=True)

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, range(count)))


def forked(kind: str, count: int) -> None:
    """A fork of this process for each case, with a limit of memory, and the answer through a pipe."""
    source = KINDS[kind][2]
    for _ in range(count):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            resource.setrlimit(resource.RLIMIT_AS, (1 << 40, resource.getrlimit(resource.RLIMIT_AS)[1]))
            os.dup2(write, 1)
            exec(compile(source, "<program>", "exec"), {"__name__": "__main__"})
            sys.stdout.flush()
            os._exit(0)
        os.close(write)
        if not os.read(read, 1000):
            raise SystemExit("a plain fork gave no answer")
        os.close(read)
        os.waitpid(pid, 0)


def per_case(work: Callable[[int], None], count: int) -> float:
    start = time.perf_counter()
    work(count)
    return (time.perf_counter() - start) / count


def sides(boxes: dict[int, Sandbox], kind: str) -> dict[str, tuple[Callable[[int], None], int]]:
    """Every way of running a case, and how many cases of it a round has."""
    found: dict[str, tuple[Callable[[int], None], int]] = {
        f"workers {n}": (lambda count, box=box: sandboxed(box, kind, count), 300)  # type: ignore[misc]
        for n, box in boxes.items()
    }
    found["fresh"] = (lambda count: fresh(kind, count), 20)
    found["fresh, two at once"] = (lambda count: fresh(kind, count, 2), 30)
    found["plain fork"] = (lambda count: forked(kind, count), 40)
    return found


def start_up(rounds: int) -> float:
    """Median seconds from nothing to the first answer, one server."""
    spent = []
    for _ in range(rounds):
        start = time.perf_counter()
        with Sandbox(workers=1) as box:
            sandboxed(box, "function", 1)
            spent.append(time.perf_counter() - start)
    return median(spent)


def load_what_a_trainer_has() -> list[str]:
    """The libraries of a training process: what the public reference forks."""
    loaded = []
    for name in ("numpy", "torch", "pyarrow", "transformers"):
        try:
            __import__(name)
        except ImportError:
            continue
        loaded.append(name)
    return loaded


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    record: dict[str, Any] = {"start_s": start_up(args.rounds), "bare_fork_s": bare_fork()}
    record["loaded"] = load_what_a_trainer_has()
    boxes = {n: Sandbox(workers=n) for n in (1, 2, 4)}
    record["level"] = boxes[1].level()
    for kind in KINDS:
        found: dict[str, list[float]] = {}
        for n, box in boxes.items():
            sandboxed(box, kind, 20 * n)
        for _ in range(args.rounds):
            for name, (work, count) in sides(boxes, kind).items():
                found.setdefault(name, []).append(per_case(work, count))
        record[kind] = found
    for box in boxes.values():
        box.close()
    print(json.dumps(record))
    return 0


def bare_fork() -> float:
    """Seconds for a plain fork of a process that has loaded next to nothing: what the kernel itself asks for."""
    program = (
        "import os, time\ns = time.perf_counter()\nfor i in range(300):\n    r, w = os.pipe()\n    p = os.fork()\n"
        f"    if p == 0:\n        d = {{}}\n        exec({FUNCTION!r}, d)\n"
        "        os.write(w, repr(d['f'](2)).encode())\n"
        "        os._exit(0)\n    os.close(w); os.read(r, 99); os.close(r); os.waitpid(p, 0)\n"
        "print((time.perf_counter() - s) / 300)"
    )
    command = [sys.executable, "-I", "-S", "-c", program]
    return median(float(subprocess.run(command, capture_output=True, text=True).stdout) for _ in range(5))


if __name__ == "__main__":
    sys.exit(main())
