"""The working folder: nothing of one case in it is there for the next, and no case can spoil it for another."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from gamekeeper.sandbox import Case, Program, Sandbox, folder
from gamekeeper.sandbox.forkserver import ForkServer, ServerLost, ready
from sandboxing import QUICK, F, at_level, call, started

SPOIL = {
    "mode of the folder above": "os.chmod('..', 0)",
    "mode of the folder above, readable": "os.chmod('..', 0o500)",
    "mode of the folder": "os.chmod('.', 0)",
    "a folder in the way": "[os.makedirs(f'{up}{n}.moved/full') for n in range(1, 4) for up in ('', '../')]",
    "a folder in the way of nested ones": "os.makedirs('a/b/c'); os.makedirs('1.moved/x'); os.makedirs('2.moved/x')",
    "the folder away": "os.rename('../case', '../gone')",
    "a link in its place": "os.rename('../case', '../gone'); os.symlink('/', '../case')",
    "modes of nested folders": "os.makedirs('a/b'); os.chmod('a/b', 0); os.chmod('a', 0)",
}
TAKE = "import os\ndef f(x):\n    try: {}\n    except OSError: pass\n    return x"
LOOK = """
    import os
    def f(x):
        found = os.stat('.')
        try: above = os.stat('..').st_mode, os.stat('..').st_mtime
        except OSError: above = None
        told = (sorted(os.listdir('.')), found.st_mode, found.st_atime_ns, found.st_mtime_ns, found.st_nlink, above)
        return told + (open('mine', 'w').write('x'),)
"""


@pytest.fixture(scope="module", params=["full", "limits"])
def box(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with at_level(request.param) as sandbox:
        yield sandbox


@pytest.mark.parametrize("how", SPOIL)
def test_no_case_can_spoil_the_folder_for_another_program(box: Sandbox, how: str) -> None:
    assert call(box, "def f(x): return x", 1).value == 1
    server = box._servers[0]
    bad, good = Program(TAKE.format(SPOIL[how]), F), Program("def f(x): open('y', 'w').write('x'); return x", F)
    found = box.run_many(
        [(bad, [Case(args=(i,))] * 2) if i % 2 else (good, [Case(args=(i,))]) for i in range(7)], QUICK
    )
    assert [[r.value for r in results] for results in found] == [[i, i] if i % 2 else [i] for i in range(7)]
    assert box._servers == [server]


MESSAGES = (
    "os.utime('.', ns=(12345, 67890))",
    "os.utime('..', ns=(12345, 67890))",
    "os.chmod('.', 0o711)",
    "os.chmod('..', 0o711)",
    "os.listdir('.'), os.listdir('..')",
    "open('left', 'w')",
    "open('../left', 'w')",
    "os.mkdir('empty')",
)


@pytest.mark.parametrize("act", MESSAGES)
def test_no_case_leaves_a_message_in_the_folder(box: Sandbox, act: str) -> None:
    look = Program("\n".join(line[4:] for line in LOOK.split("\n")), F)
    tell = Program(TAKE.format(act), F)
    (first, _), _, (after, again) = (
        box.run_cases(program, [Case(args=(1,))] * 2, QUICK) for program in (look, tell, look)
    )
    assert first.status == "finished", first
    assert after.value == again.value == first.value


def test_a_coarse_clock_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on kernels that keep the times of changes in steps of some milliseconds."""
    stat, fstat = os.stat, os.fstat

    def coarse(found: os.stat_result) -> SimpleNamespace:
        names = [name for name in dir(found) if name.startswith("st_")]
        return SimpleNamespace(**{n: getattr(found, n) for n in names} | {"st_ctime_ns": 0, "st_mtime_ns": 0})

    monkeypatch.setattr(os, "stat", lambda *a, **k: coarse(stat(*a, **k)))
    monkeypatch.setattr(os, "fstat", lambda fd: coarse(fstat(fd)))
    place = folder.CaseFolder(str(tmp_path))
    for _ in range(50):
        (tmp_path / "case" / "left").write_text("x")
        place.clean()
        assert list((tmp_path / "case").iterdir()) == []
    (tmp_path / "beside").write_text("x")
    assert place.clean() is True
    assert [p.name for p in tmp_path.iterdir()] == ["case"]


@pytest.mark.parametrize("size", [1, 300_000])
def test_a_folder_that_cannot_be_cleaned_is_held_against_nobody(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server leaves after every case, also while it is being sent the next, and each case has its result."""
    broken = "import folder\ndef no(self): raise OSError('no')\nfolder.CaseFolder.clean = no\n"
    monkeypatch.setattr("gamekeeper.sandbox.forkserver._START", started(broken))
    with at_level("limits") as fresh:
        cases = [Case(args=(i, "x" * size)) for i in range(5)]
        results = fresh.run_cases(Program("def f(x, y): return x, len(y)", F), cases, QUICK)
    assert [r.value for r in results] == [(i, size) for i in range(5)]


def test_an_answer_that_arrived_counts_though_the_server_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen first when it is to be sent more."""
    flush = ForkServer.flush

    def late(self: ForkServer) -> None:
        flush(self)
        if self.waiting:
            ready({self.of: select.POLLIN}, 10)
            time.sleep(0.2)  # an answer comes in parts
            raise ServerLost("the fork server is gone")

    monkeypatch.setattr(ForkServer, "flush", late)
    with at_level("limits") as fresh:
        assert call(fresh, "def f(x): return x", 3).value == 3


def test_what_a_case_left_is_not_charged_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that goes down when the next case is at hand, with all its servers shared with the one that did it."""
    bad = Program("import os, sys\ndef f(x): sys.stdout.write('x' * 77); return x", F)
    good = Program("def f(x): return x", F)
    broken = (
        "import server, os\n"
        "begin = server.Server._case\n"
        "def case(self, *rest):\n"
        "    if getattr(self, 'spoilt', False): os._exit(1)\n"
        "    begin(self, *rest)\n"
        "copy = server._copy\n"
        "def copying(file, size):\n"
        "    copy(file, size)\n"
        "    if size == 77: serving[0].spoilt = True\n"
        "serving = []\n"
        "init = server.Server.__init__\n"
        "def made(self, *rest):\n"
        "    init(self, *rest); serving.append(self)\n"
        "server.Server._case, server._copy, server.Server.__init__ = case, copying, made\n"
    )
    monkeypatch.setattr("gamekeeper.sandbox.forkserver._START", started(broken))
    with Sandbox(workers=2, require="limits") as fresh:
        jobs = [(bad if i % 2 == 0 else good, [Case(args=(i,))]) for i in range(12)]
        found = fresh.run_many(jobs, QUICK)
    assert [r.value for (r,) in found[1::2]] == list(range(1, 12, 2))
