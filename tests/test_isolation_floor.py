"""The required level is a floor for every call, and what the sandbox cannot do is never the program's failure."""

from __future__ import annotations

import pytest

from gamekeeper.errors import UnknownName
from gamekeeper.sandbox import Case, IsolationTooLow, Program, Sandbox, pool
from gamekeeper.sandbox.layers import VARIABLE
from sandboxing import LOWER, F, at_level, call

SAME = "def f(x): return x"


def test_a_refused_sandbox_refuses_again_however_it_is_asked() -> None:
    with Sandbox(workers=2, require="full", without=LOWER["limits"]) as fresh:
        for ask in (fresh.level, lambda: call(fresh, SAME, 1), fresh.layers, lambda: call(fresh, SAME, 1)):
            with pytest.raises(IsolationTooLow):
                ask()
            assert fresh._servers == []


def test_a_floor_that_is_raised_holds_for_servers_that_run_already() -> None:
    with at_level("limits") as fresh:
        assert call(fresh, SAME, 1).value == 1
        fresh.required = "filtered"
        for _ in range(2):
            with pytest.raises(IsolationTooLow):
                call(fresh, SAME, 1)
        with pytest.raises(IsolationTooLow):
            fresh.level()


def test_the_shared_sandbox_runs_nothing_once_its_floor_was_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(workers=1, without=LOWER["limits"]) as shared:
        monkeypatch.setattr(pool, "_shared", shared)
        for _ in range(2):
            with pytest.raises(IsolationTooLow):
                pool.require_isolation("filtered")
            with pytest.raises(IsolationTooLow):
                pool.run_cases(Program(SAME, F), [Case(args=(1,))])


def test_a_misspelt_floor_stops_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "ful")
    with Sandbox(workers=1) as fresh:
        for ask in (fresh.level, lambda: call(fresh, SAME, 1), lambda: call(fresh, SAME, 1)):
            with pytest.raises(UnknownName):
                ask()
