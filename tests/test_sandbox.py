"""The sandbox: what it computes, what it refuses, and the words for what went wrong."""

from __future__ import annotations

import json
import marshal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamekeeper.errors import UnknownName, UsageError
from gamekeeper.sandbox import (
    Case,
    CaseResult,
    Entry,
    IsolationTooLow,
    Limits,
    Opaque,
    Program,
    Sandbox,
    frame,
    judge_output,
    judge_value,
    pool,
    same_lines,
    same_value,
    values,
    wire,
)
from sandboxing import LOWER, QUICK, F, call, feed


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(workers=1) as sandbox:
        yield sandbox


# Values


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.integers(), inner),
    max_leaves=20,
)


@given(PLAIN)
@settings(deadline=None)
def test_a_value_comes_back_of_the_same_types(value: object) -> None:
    back = values.read(json.loads(values.write(value)))
    assert repr(back) == repr(value)  # repr tells 1, 1.0, True, (1,), [1] and nan apart


WORKED = [{1, 2}, frozenset({"a"}), 10**6000, -(10**20), "\ud800", b"\x00", {"k": (1, [2.0])}]


@pytest.mark.parametrize("value", WORKED, ids=range(len(WORKED)))
def test_a_worked_value_comes_back(value: object) -> None:
    back = values.read(json.loads(values.write(value)))
    assert type(back) is type(value)
    assert back == value


class Liar(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


@pytest.mark.parametrize("value", [Liar(3), [Liar(3)], object(), iter([1]), type, 1j])
def test_what_is_not_plain_is_not_written(value: object) -> None:
    with pytest.raises(values.Unwritable):
        values.write(value)


def test_a_list_within_itself_is_not_written() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(values.Unwritable, match="too deep"):
        values.write(loop)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("iufbtszdx"), inner, max_size=2),
)


@given(JSON)
@settings(deadline=None)
def test_reading_a_forged_value_gives_a_value_or_a_value_error(data: object) -> None:
    try:
        values.read(data)
    except ValueError:
        return


def test_a_claim_whose_hashes_collide_costs_its_reader_nothing() -> None:
    forged = {"s": [{"i": f"{i * (2**61 - 1):x}"} for i in range(60_000)]}
    start = time.monotonic()
    with pytest.raises(ValueError, match="hashes"):
        values.read(forged)
    with pytest.raises(ValueError, match="hashes"):
        values.read({"d": [[x, 1] for x in forged["s"]]})
    assert time.monotonic() - start < 5
    assert values.read({"s": [{"i": f"{i << 70:x}"} for i in range(5000)]}) == {i << 70 for i in range(5000)}


def test_a_claim_deeper_than_any_written_one_is_refused() -> None:
    deep: list[object] = []
    for _ in range(64):
        deep = [deep]
    with pytest.raises(ValueError, match="deep"):
        values.read(deep)
    assert values.read(deep[0]) == deep[0]
    for empty in ([], {"t": []}, {"s": []}, {"d": []}):
        inner: object = empty
        for _ in range(64):
            inner = [inner]
        with pytest.raises(ValueError, match="deep"):
            values.read(inner)
        value = values.read(inner[0])  # type: ignore[index]
        assert values.read(json.loads(values.write(value))) == value  # what can be read can be written


# Judging


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        (1, 1, True),
        (1, 1.0, False),
        (1, True, False),
        ([1, 2], (1, 2), False),
        ([1, [True]], [1, [1]], False),
        ({1: "a"}, {True: "a"}, False),
        ({1}, {True}, False),
        ({(1, 2)}, {(1.0, 2)}, False),
        ({(1, 2)}, {(1, 2)}, True),
        ({(1,): "a"}, {(True,): "a"}, False),
        ({(1,): "a"}, {(1,): "a"}, True),
        ({frozenset({1})}, {frozenset({1.0})}, False),
        ({frozenset({(1,)})}, {frozenset({(True,)})}, False),
        ({((1,), 2): [1]}, {((1,), 2): [True]}, False),
        ({1: [2]}, {1: [2]}, True),
        (float("nan"), float("nan"), False),
        (Opaque("int"), 1, False),
    ],
)
def test_values_are_the_same_only_with_their_types(got: object, expected: object, same: bool) -> None:
    assert same_value(got, expected) is same


def test_outputs_are_compared_whole() -> None:
    assert same_lines("1  2\r\n3\n\n", "1 2\n3")
    assert not same_lines("3", "1 2\n3")  # the reference compared the last line only
    assert not same_lines("1 2 3", "1 2\n3")
    assert not same_lines("\n3", "3")


def test_a_verdict_is_the_status_unless_the_case_finished() -> None:
    assert judge_value(CaseResult("finished", value=9), 9) == "passed"
    assert judge_value(CaseResult("finished", value=9.0), 9) == "wrong"
    assert judge_value(CaseResult("timeout", value=9), 9) == "timeout"
    assert judge_output(CaseResult("finished", stdout="9\n"), "9") == "passed"
    assert judge_output(CaseResult("isolation-failed", stdout="9"), "9") == "isolation-failed"


# What runs


def test_a_function_returns_its_value(box: Sandbox) -> None:
    result = call(box, "def f(x, y): print('hi'); return [x + 7, (y, None, 1.5, True)]", 2, "\u00e9")
    assert (result.status, result.value, result.stdout) == ("finished", [9, ("\u00e9", None, 1.5, True)], "hi\n")


def test_a_method_is_called_on_a_fresh_instance(box: Sandbox) -> None:
    source = "class S:\n    def __init__(self): self.n = 1\n    def go(self, xs): return sum(xs) + self.n"
    assert call(box, source, [1, 2], entry=Entry("method", "S.go")).value == 4


@pytest.mark.parametrize(
    "source",
    [
        "print(input()[::-1])",
        "import sys\nprint(sys.stdin.read().strip()[::-1])",
        "print(open(0).readline().strip()[::-1])",
        "print(open('/dev/stdin').read().strip()[::-1])",
        "import sys\nsys.stdout.write(sys.stdin.readline()[-2::-1])\nexit()",
        "import os\nos.write(1, os.read(0, 99)[-2::-1])\nos._exit(0)",
        "if __name__ == '__main__':\n    print(input()[::-1])\n    quit(0)",
        "import threading\nthreading.Timer(0.05, lambda: print(input()[::-1])).start()",
        "text = input()\nimport __main__\nprint(__main__.text[::-1])",
        "import atexit\natexit.register(lambda: print(input()[::-1]))",
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    s: str\nprint(P(input()).s[::-1])",
    ],
)
def test_a_program_reads_stdin_and_prints(box: Sandbox, source: str) -> None:
    assert judge_output(feed(box, source, "abc\n"), "cba") == "passed"


@pytest.mark.parametrize(
    "source",
    [
        "class Solution:\n    def solve(self): print(int(input()) * 2)",
        "class Solution:\n    def solve(self): return int(input()) * 2",
        "class Solution:\n    def solve(self, text): return int(text) * 2",
        "n = int(input())\nclass Solution:\n    def solve(self): return n * 2",
        "class Solution:\n    def solve(self): return int(input()) * 2\nprint(Solution().solve())",
        "class Solution:\n    def other(self): pass\nprint(int(input()) * 2)",
        "n = int(input())\nclass Solution:\n    def solve(self): print(n * 2)\nSolution().solve()",
        "class Solution:\n    def solve(self): print(int(input()) * 2)\nSolution().solve()",
    ],
)
def test_a_solver_is_called_where_the_top_level_left_the_work_to_it(box: Sandbox, source: str) -> None:
    assert judge_output(feed(box, source, "21\n", "Solution.solve"), "42") == "passed"


def test_an_empty_answer_of_a_solver_that_was_called_already_is_no_error(box: Sandbox) -> None:
    source = "class Solution:\n    def solve(self):\n        if int(input()) > 30: print('big')\nSolution().solve()"
    result = feed(box, source, "21\n", "Solution.solve")
    assert (result.status, result.stdout) == ("finished", "")


def test_a_prelude_is_at_hand_and_its_state_is_not_shared(box: Sandbox) -> None:
    prelude = "from typing import List\nfrom collections import Counter\nkept = []"
    source = "def g(xs: List[int]): kept.append(1); return len(kept) + Counter(xs)[1]\nprint(g([1, 1]))"
    assert [feed(box, source, prelude=prelude).stdout for _ in range(2)] == ["3\n", "3\n"]


def test_the_order_of_sets_and_random_numbers_do_not_change_from_run_to_run() -> None:
    source = "print(set('abcdefgh'), random.random(), random.sample(range(99), 3))"
    told = set()
    for _ in range(2):
        with Sandbox(workers=1) as fresh:
            told.add(feed(fresh, source, prelude="import random").stdout)
    assert len(told) == 1
    assert told != {""}


def test_results_keep_their_order_over_workers() -> None:
    jobs = [(Program(f"def f(x): return x * {i}", F), [Case(args=(x,)) for x in range(3)]) for i in range(12)]
    with Sandbox(workers=2) as two:
        found = two.run_many(jobs, QUICK)
    assert [[r.value for r in results] for results in found] == [[x * i for x in range(3)] for i in range(12)]


def test_many_megabytes_go_in(box: Sandbox) -> None:
    limits = Limits(memory_mb=256)
    text = "12 34\n" * 300_000
    (result,) = box.run_cases(Program("print(sum(map(int, open(0).read().split())))"), [Case(stdin=text)], limits)
    assert result.stdout == "13800000\n"


@pytest.mark.slow
def test_honest_code_does_not_pay_for_a_parent_that_holds_much_memory(box: Sandbox) -> None:
    held = bytearray(700 << 20)
    with Sandbox(workers=1) as fresh:
        assert call(fresh, "def f(x): return len(bytearray(30 << 20)) + x", 1).value == (30 << 20) + 1
    assert len(held) == 700 << 20


def test_deep_recursion_is_honest(box: Sandbox) -> None:
    source = """
        import sys, functools
        sys.setrecursionlimit(10**6)
        @functools.cache
        def g(n): return n and 1 + g(n - 1)
        def f(n): return g(n)
    """
    assert call(box, source, 50_000, limits=Limits(cpu_s=2.0, memory_mb=256)).value == 50_000


# What goes wrong in a program


@pytest.mark.parametrize(
    ("source", "status", "detail"),
    [
        ("def f(x): return x.y", "error", "AttributeError: 'int' object has no attribute 'y' (line 1)"),
        ("def f(x): return (", "error", "SyntaxError"),
        ("def g(x): return x", "error", "NameError: the program defines no 'f'"),
        ("def f(x): raise SystemExit", "error", "ended before the call returned"),
        ("import sys; sys.exit(3)", "error", "exit code 3"),
        ("def f(x): return f(x)", "error", "RecursionError"),
        ("\x00", "error", "null bytes"),
        ("x = '\ud800'", "error", "Unicode"),
        ("(" * 100_000, "error", "too many nested parentheses"),
        ("def f(x):\n    while True: pass", "timeout", "CPU time"),
        ("def f(x): return bytearray(1 << 30)", "memory", "MemoryError"),
        ("def f(x):\n    xs = []\n    while True: xs.append(bytes(1 << 20))", "memory", "MemoryError"),
        ("def f(x):\n    while True: print('x' * 1000)", "output-limit", "more output"),
        ("def f(x): return 'x' * 100_000", "output-limit", "more output"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "killed", "SIGSEGV"),
        ("class E(Exception):\n    def __str__(self): raise E\ndef f(x): raise E", "error", "E"),
    ],
)
def test_a_failure_has_its_word(box: Sandbox, source: str, status: str, detail: str) -> None:
    result = call(box, source, 1)
    assert result.status == status
    assert detail in result.detail


def test_sleep_ends_by_the_wall_clock(box: Sandbox) -> None:
    start = time.monotonic()
    result = call(box, "import time\ndef f(): time.sleep(60)", limits=Limits(cpu_s=1.0, wall_s=0.3))
    assert (result.status, result.detail) == ("timeout", "wall time")
    assert time.monotonic() - start < 5


def test_a_program_may_swallow_everything_and_still_ends(box: Sandbox) -> None:
    source = """
        import signal
        for n in (signal.SIGTERM, signal.SIGINT, signal.SIGXCPU, signal.SIGALRM): signal.signal(n, signal.SIG_IGN)
        def f():
            while True:
                try:
                    while True: pass
                except BaseException: pass
    """
    assert call(box, source).status == "timeout"


def test_much_on_stderr_is_cut_and_no_failure(box: Sandbox) -> None:
    result = call(
        box,
        "import sys\ndef f():\n    try: print('x' * 10**6, file=sys.stderr)\n    except OSError: pass\n    return 1",
    )
    assert (result.status, result.value, len(result.stderr)) == ("finished", 1, QUICK.output_bytes)


# The wire, the records


def answer_frame(kind: int, texts: list[bytes]) -> bytes:
    padded = (texts + [b""] * 4)[:4]
    return frame.ANSWER.pack(kind, 3, 0.5, 1.0, *map(len, padded)) + b"".join(padded)


@given(st.lists(st.tuples(st.integers(0, 7), st.lists(st.binary(max_size=30), max_size=4)), max_size=5), st.data())
@settings(max_examples=50, deadline=None)
def test_frames_survive_any_cut_of_the_stream(sent: list[tuple[int, list[bytes]]], data: st.DataObject) -> None:
    stream = b"".join(answer_frame(kind, texts) for kind, texts in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader = wire.AnswerReader()
    found = [
        a for low, high in zip([0, *cuts], [*cuts, len(stream)], strict=True) for a in reader.feed(stream[low:high])
    ]
    claims = [(texts + [b""] * 4)[2] for _, texts in sent]
    assert [(a.kind, a.number, a.wall_s, a.claim) for a in found] == [
        (kind, 3, 1.0, claim) for (kind, _), claim in zip(sent, claims, strict=True)
    ]


@given(st.binary(max_size=60))
@settings(deadline=None)
def test_any_claim_gives_a_result(claim: bytes) -> None:
    answer = wire.Answer(frame.EXITED, 0, 0.0, 0.0, "", "", claim, "")
    assert wire.read_result(Program("", F), answer).status in ("finished", "error", "memory")


def test_what_travels_has_no_place_for_what_is_expected() -> None:
    case = marshal.loads(wire.write_case(Program("src", F, "prelude"), Case(args=(1,)), 0)[frame.HEAD.size :])
    setup = marshal.loads(wire.write_setup("prelude", Limits())[frame.HEAD.size :])
    assert set(case) == {"source", "kind", "name", "stdin", "args"}
    assert set(setup) == {"prelude", "limits"}


@pytest.mark.parametrize(
    ("kind", "name"), [("function", ""), ("function", "a.b"), ("method", "solve"), ("method", "a.b.c")]
)
def test_an_entry_without_a_fitting_name_is_refused(kind: str, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be named"):
        Entry(kind, name)


def test_bad_records_say_what_is_allowed(box: Sandbox) -> None:
    with pytest.raises(UnknownName, match="stdin"):
        Entry("stdim")
    with pytest.raises(UsageError, match=r"Limits.cpu_s must be a number of at least 0.01"):
        Limits(cpu_s=0)
    with pytest.raises(UsageError, match="worker"):
        Sandbox(workers=0)
    with pytest.raises(UsageError, match="plain built-in types"):
        call(box, "def f(x): return x", object())
    assert call(box, "def f(x): return x", 5).value == 5


# The process's own sandboxes


def test_packages_are_at_hand_where_they_were_asked_for_only() -> None:
    pytest.importorskip("numpy")
    jobs = [(Program("import numpy\ndef f(x): return int(numpy.int64(x))", F), [Case(args=(3,))])]
    roomy = Limits(memory_mb=2048)  # numpy's library reserves some for each core
    assert pool.run_many(jobs, roomy, ("numpy",))[0][0].value == 3
    assert pool.run_many(jobs, roomy)[0][0].status == "error"


def test_a_level_that_is_required_holds_with_packages_too(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numpy")
    low = Sandbox(workers=1, packages=("numpy",), without=LOWER["limits"])
    monkeypatch.setattr(pool, "_others", {("numpy",): low})
    program = Program("def f(x): return x", F)
    with Sandbox(workers=1) as shared:
        if shared.level() == "limits":
            pytest.skip("this machine has no level above the lowest")
        shared.required = "limits"
        monkeypatch.setattr(pool, "_shared", shared)
        assert pool.run_many([(program, [Case(args=(3,))])], QUICK, ("numpy",))[0][0].value == 3
        pool.require_isolation("filtered")
        with pytest.raises(IsolationTooLow):
            pool.run_many([(program, [Case(args=(3,))])], QUICK, ("numpy",))
    low.close()


@pytest.mark.parametrize(("stdin", "args"), [((2,), ()), ("", [2]), (b"2", ()), (None, ())])
def test_a_case_of_the_wrong_types_is_refused_and_not_run(stdin: Any, args: Any) -> None:
    with pytest.raises(UsageError, match=r"A case is Case\(stdin=TEXT\) or Case\(args=TUPLE\)"):
        Case(stdin, args)
