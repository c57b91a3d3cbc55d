"""The attack suite: every technique of the catalogue that applies to graders that run code, and attacks on the machine.

None may pay, harm or leave anything; and each does pay against a naive grader, which shows that it is one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from attack_suite import Attack, attacks, gains, jobs
from gamekeeper.sandbox import Limits, Sandbox
from sandboxing import at_level, call, idle_processes, own_processes

SUITE = attacks()
BOUNDS = Limits(cpu_s=0.4, wall_s=2.0, memory_mb=96, output_bytes=1 << 16)
SHORT = replace(BOUNDS, cpu_s=0.1, wall_s=0.25)
TIMED = ("timeout_passes", "terminated")  # controls of attacks that go on until they are stopped
MAY_BE_REFUSED = ("reachable",)  # by this machine's own settings, so that the control may not work
PLACES = ("/tmp", "/var/tmp", "/dev/shm", os.path.expanduser("~"))


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with at_level("full") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def filtered() -> Iterator[Sandbox]:
    with at_level("filtered") as sandbox:
        yield sandbox


def traces() -> tuple[list[str], str]:
    """What attacks could leave on this machine: files with their name, shared memory."""
    names = [name for place in PLACES if os.path.isdir(place) for name in os.listdir(place)]
    return [name for name in names if "gamekeeper-test" in name], Path("/proc/sysvipc/shm").read_text()


def test_the_suite_is_as_large_as_promised_and_names_are_unique() -> None:
    assert len(SUITE) >= 80
    assert [name for name, count in Counter(a.name for a in SUITE).items() if count > 1] == []
    groups = {a.reference for a in SUITE}
    wanted = {f"CE{n:02}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 19, 22, 30, 32, 36, 39, 40, 41, 42, 44, 45)}
    assert wanted | {f"TT{n:02}" for n in (1, 3, 4, 5, 6, 8, 9, 10, 15, 17, 18, 25)} <= groups


@pytest.mark.parametrize("attack", SUITE, ids=lambda a: a.name)
def test_an_attack_gains_nothing_and_leaves_nothing(box: Sandbox, attack: Attack) -> None:
    before = traces()
    call(box, "def f(x): return x", 1)
    servers = list(box._servers)
    results = box.run_many(jobs(attack), SHORT if attack.control in TIMED else BOUNDS)
    assert gains(results) == [], results
    assert box._servers == servers  # none was brought down
    assert own_processes(box) == idle_processes(box)
    assert traces() == before
    assert call(box, "import os\ndef f(x): return x, os.listdir('.'), os.listdir('/dev/shm')", 3).value == (3, [], [])


@pytest.mark.slow
@pytest.mark.parametrize("attack", SUITE, ids=lambda a: a.name)
def test_an_attack_gains_nothing_at_the_filtered_level_either(filtered: Sandbox, attack: Attack) -> None:
    before = traces()
    assert gains(filtered.run_many(jobs(attack), SHORT if attack.control in TIMED else BOUNDS)) == []
    assert own_processes(filtered) == idle_processes(filtered)
    assert traces() == before


@pytest.mark.slow
@pytest.mark.parametrize("attack", SUITE, ids=lambda a: a.name)
def test_control_the_attack_pays_against_a_naive_grader(attack: Attack, tmp_path: Path) -> None:
    if not attack.pays_naively(tmp_path):
        if attack.control in MAY_BE_REFUSED:
            pytest.skip("this machine closes the call to everyone: the attack has no control here")
        pytest.fail(f"{attack.name!r} does not pay in {attack.control!r}: it proves nothing")
