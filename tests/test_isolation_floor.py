"""The required level is a floor for every call, and what the sandbox cannot do is never the program's failure."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gamekeeper.errors import UnknownName
from gamekeeper.sandbox import Case, IsolationTooLow, Program, Sandbox, pool
from gamekeeper.sandbox.forkserver import ForkServer
from gamekeeper.sandbox.layers import VARIABLE
from sandboxing import LOWER, QUICK, F, at_level, call, feed, started

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


@pytest.mark.parametrize("refused", [1, 1000])
def test_a_process_that_the_system_refuses_is_no_verdict_on_a_program(
    refused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a user or a container has reached its number of processes."""
    change = (
        "import os\n"
        "serve = server.Server.serve\n"
        "def begin(self):\n"
        "    fork, left = os.fork, [%d]\n"
        "    def again():\n"
        "        if left[0]:\n"
        "            left[0] -= 1\n"
        "            raise BlockingIOError(11, 'no more processes')\n"
        "        return fork()\n"
        "    os.fork = again\n"
        "    serve(self)\n"
        "server.Server.serve = begin\n"
    )
    monkeypatch.setattr("gamekeeper.sandbox.forkserver._START", started(change % refused))
    with at_level("limits") as fresh:
        results = fresh.run_cases(Program(SAME, F), [Case(args=(i,)) for i in range(3)], QUICK)
    assert {r.status for r in results} == {"isolation-failed"}
    assert "no more processes" in results[0].detail


@pytest.mark.parametrize("prelude", ["raise SystemExit", "import sys; sys.exit(0)", "1 / 0"])
def test_a_prelude_that_fails_is_no_verdict_on_a_program(prelude: str) -> None:
    with Sandbox(workers=1) as fresh:
        result = feed(fresh, "print(1)", prelude=prelude)
        assert (result.status, result.detail[:19]) == ("isolation-failed", "the prelude failed:")
        assert feed(fresh, "print(1)").stdout == "1\n"


@pytest.mark.parametrize("level", ["full", "filtered"])
def test_no_datagram_reaches_a_unix_socket_of_the_machine(level: str, tmp_path: Path) -> None:
    source = """
        import socket
        def f(path, kind):
            mine, other = socket.socketpair(socket.AF_UNIX, kind)
            try: mine.sendto(b'me', path)
            except OSError: pass
            mine.send(b'me')
            return other.recv(9)[-2:]
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mailbox, at_level(level) as fresh:
        mailbox.bind(str(tmp_path / "mailbox"))
        (tmp_path / "mailbox").chmod(0o777)
        mailbox.setblocking(False)
        for kind in (socket.SOCK_DGRAM, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, socket.SOCK_RAW):
            assert call(fresh, source, str(tmp_path / "mailbox"), int(kind)).status == "error"
            with pytest.raises(BlockingIOError):
                mailbox.recv(9)
        for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK):
            assert call(fresh, source, str(tmp_path / "mailbox"), int(kind)).value == b"me"


def test_no_file_can_be_emptied_under_an_old_landlock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its versions 1 and 2 do not close it. Some file that programs may read is emptied, if anything can be."""
    change = "import kernel\nabi = kernel.landlock_abi\nkernel.landlock_abi = lambda: min(2, abi())\n"
    monkeypatch.setattr("gamekeeper.sandbox.forkserver._START", started(change))
    kept = tmp_path / "readable.so"
    source = """
        import os
        def f(path):
            told = []
            for how in (os.O_RDONLY, os.O_RDONLY | os.O_CREAT, 3, os.O_WRONLY, os.O_RDWR):
                try: os.open(path, how | os.O_TRUNC); told.append(how)
                except OSError: pass
            if not told: open(path).read()
            for null in (os.O_WRONLY, os.O_RDWR): os.open('/dev/null', null | os.O_TRUNC)
            open('/dev/null', 'w').write('x')
            return told
    """
    monkeypatch.setattr(ForkServer, "__init__", showing(kept))
    with at_level("filtered") as fresh:
        kept.write_text("here")
        kept.chmod(0o666)
        result = call(fresh, source, str(kept))
    assert (result.value, kept.read_text()) == ([], "here"), result


def showing(path: Path) -> Callable[..., None]:
    """A fork server that shows one more file as if it were a package."""
    start = ForkServer.__init__

    def started_with_it(self: ForkServer, wanted: Sequence[str], packages: Sequence[Path] = ()) -> None:
        path.touch()
        for folder in path.parents:
            if folder.stat().st_uid == os.geteuid():
                folder.chmod(folder.stat().st_mode | 0o111)
        start(self, wanted, [*packages, path])

    return started_with_it
