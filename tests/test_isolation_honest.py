"""Honest code is never punished: correct solutions score 1.0 at full isolation, and a slip in each costs.

Also when the parent holds gigabytes, and when eight sandboxes run at once on the cores of one machine.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from gamekeeper.sandbox import Case, Entry, Limits, Program, Sandbox
from honest_suite import Solution, solutions
from sandboxing import at_level, call

SUITE = solutions()
BOUNDS = Limits(cpu_s=5.0, wall_s=60.0, memory_mb=128)


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with at_level("full") as sandbox:
        yield sandbox


def scores(box: Sandbox, slips: bool = False) -> dict[str, float]:
    results = box.run_many([s.job(s.slip if slips else s.source) for s in SUITE], BOUNDS)
    return {s.problem: s.score(found) for s, found in zip(SUITE, results, strict=True)}


def test_the_suite_is_as_large_and_as_mixed_as_promised() -> None:
    shapes = Counter(s.shape for s in SUITE)
    assert len({s.problem for s in SUITE}) == len(SUITE) >= 100
    assert min(shapes[shape] for shape in ("method", "function", "stdin")) >= 25
    assert shapes["solver"] >= 5


def test_every_correct_solution_scores_one(box: Sandbox) -> None:
    assert {p: s for p, s in scores(box).items() if s != 1.0} == {}


def test_every_slip_costs(box: Sandbox) -> None:
    assert {p: s for p, s in scores(box, slips=True).items() if s >= 1.0} == {}


@pytest.mark.parametrize("level", [pytest.param("filtered", marks=pytest.mark.slow), "limits"])
def test_correct_solutions_score_one_at_the_lower_levels(level: str) -> None:
    with at_level(level) as lower:
        assert {p: s for p, s in scores(lower).items() if s != 1.0} == {}


@pytest.mark.slow
def test_every_correct_solution_scores_one_in_a_parent_that_holds_gigabytes() -> None:
    held = [b"x" * (1 << 29) for _ in range(8)]
    with at_level("full") as fresh:
        assert set(scores(fresh).values()) == {1.0}
        assert max(scores(fresh, slips=True).values()) < 1.0
    assert sum(map(len, held)) == 4 << 30


@pytest.mark.slow
def test_every_correct_solution_scores_one_in_eight_sandboxes_at_once() -> None:
    found: dict[int, dict[str, float]] = {}

    def work(i: int) -> None:
        with at_level("full") as fresh:
            found[i] = scores(fresh)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {i: set(told.values()) for i, told in found.items()} == {i: {1.0} for i in range(8)}


# What ordinary programs use

ORDINARY = {
    "imports": """
        import bisect, collections, copy, dataclasses, datetime, decimal, fractions, functools, heapq, itertools, json
        import array, cmath, enum, hashlib, io, math, operator, queue, random, re, statistics, string, struct, sys
        import textwrap, time, typing, uuid, zlib, bz2, lzma, sqlite3, ctypes, calendar
        import abc, contextlib, secrets, zoneinfo
        def f():
            assert sqlite3.connect(':memory:').execute('select 6 * 7').fetchone() == (42,)
            assert zlib.decompress(zlib.compress(b'x')) == b'x' and hashlib.sha256(b'').hexdigest()[:4] == 'e3b0'
            assert str(decimal.Decimal(1) / 7)[:6] == '0.1428' and statistics.mean([1, 3]) == 2
            assert datetime.datetime(2024, 2, 29).strftime('%d %b') == '29 Feb'
            return 42
    """,
    "builtins": """
        import builtins
        def f():
            assert all(hasattr(builtins, n) for n in ('exit', 'quit', 'open', 'input', 'eval', 'print'))
            return sum(map(len, zip(range(21), range(21))))
    """,
    "recursion": """
        import sys
        sys.setrecursionlimit(10**6)
        def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
        def f(): return 42 if depth(100_000) == 100_000 else 0
    """,
    "recursion through C": """
        import functools, sys
        sys.setrecursionlimit(10**6)
        @functools.cache
        def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
        def f(): return 42 if depth(50_000) == 50_000 else 0
    """,
    "recursion in a thread": """
        import sys, threading
        sys.setrecursionlimit(10**6)
        threading.stack_size(100 * 1024 * 1024)
        def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
        told = []
        def f():
            t = threading.Thread(target=lambda: told.append(depth(50_000)))
            t.start(); t.join()
            return 42 if told == [50_000] else 0
    """,
    "a larger stack": """
        import resource
        def f():
            resource.setrlimit(resource.RLIMIT_STACK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            return 42
    """,
    "big integers": "def f(): return 42 if len(hex(7 ** 100_000)) == 70186 else 0",
    "threads": """
        from concurrent.futures import ThreadPoolExecutor
        def f():
            with ThreadPoolExecutor(4) as pool: return sum(pool.map(lambda x: x, range(9))) + 6
    """,
    "asyncio": """
        import asyncio
        async def work(): await asyncio.sleep(0.01); return 42
        def f(): return asyncio.run(work())
    """,
    "files": """
        import os, tempfile
        def f():
            with open('a.txt', 'w') as file: file.write('4'); os.makedirs('b/c'); os.rename('a.txt', 'b/c/d')
            with tempfile.TemporaryDirectory() as folder: open(folder + '/x', 'w').write('2')
            with open('/dev/null', 'w') as null: print('nothing', file=null)
            return int(open('b/c/d').read() + '2')
    """,
    "dataclasses and pickle": """
        import copy, pickle
        from dataclasses import dataclass
        @dataclass(order=True)
        class P: x: int
        def f(): return pickle.loads(pickle.dumps(copy.deepcopy(P(42)))).x
    """,
    "processes where they are allowed": """
        import multiprocessing as m
        def work(end): end.send(42)
        def f():
            mine, theirs = m.get_context('fork').Pipe()
            p = m.get_context('fork').Process(target=work, args=(theirs,)); p.start()
            try: return mine.recv()
            finally: p.join()
    """,
}  # fmt: skip


@pytest.mark.parametrize("what", ORDINARY)
def test_ordinary_python_works(box: Sandbox, what: str) -> None:
    result = call(box, ORDINARY[what], limits=Limits(cpu_s=10.0, wall_s=60.0, memory_mb=256))
    assert (result.status, result.value) == ("finished", 42), result


def test_a_million_lines_of_input(box: Sandbox) -> None:
    source = "import sys\nn = int(input())\nprint(sum(map(int, sys.stdin.read().split())))"
    case = Case(stdin="1000000\n" + "12\n" * 1_000_000)
    (result,) = box.run_cases(Program(source), [case], Limits(cpu_s=20.0, wall_s=60.0, memory_mb=256))
    assert result.stdout == "12000000\n", result


def test_numpy_works_where_it_is_allowed_and_nothing_else_is_there() -> None:
    source = "import numpy as np\ndef f(x): return int(np.linalg.det(np.eye(x) * 2).round())"
    limits = Limits(cpu_s=30.0, wall_s=120.0, memory_mb=512)
    with at_level("full", packages=("numpy",)) as fresh:
        assert call(fresh, source, 3, limits=limits).value == 8
        assert "No module named 'pyarrow'" in call(fresh, "import pyarrow\ndef f(): pass", limits=limits).detail
        warm = Program("def f(x): return int(np.arange(x).sum())", Entry("function", "f"), "import numpy as np")
        assert [r.value for r in fresh.run_cases(warm, [Case(args=(5,))] * 3, limits)] == [10] * 3
    with at_level("full") as fresh:
        assert "No module named 'numpy'" in call(fresh, source, 3).detail


def test_a_solution_knows_its_own_shape() -> None:
    tried = Solution("p", "method", "class Solution:\n    def go(self, x): return x", "", (("[1, 2]\n3", "4"),))
    program, cases = tried.job(tried.source)
    assert (program.entry, cases) == (Entry("method", "Solution.go"), [Case(args=([1, 2], 3))])
