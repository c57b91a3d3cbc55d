"""The processes around a fork server: one that launches it and clears up after it, and the server.

    launcher   stays in the caller's world; adopts the server, waits for it, removes its folder
    go-between leaves the caller's namespaces, forks the server, ends
    server     the first process of the new process namespace: when it ends, for whatever reason, all in there end

If the namespaces cannot be had, the launcher forks a server without them. Standard library only, and no import of the
package: the fork server imports this file on its own.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from gamekeeper.sandbox import folder, kernel, stage
else:
    import folder
    import kernel
    import stage

_READY = b"ready"
_PARENT = 14


class _Attempt:
    """The two pipes of one attempt: what became of it, and leave to go on."""

    def __init__(self) -> None:
        self.told, self.tell = os.pipe()
        self.wait, self.go = os.pipe()

    def report(self, text: bytes) -> None:
        os.write(self.tell, text)
        os.close(self.tell)

    def may_go_on(self) -> bool:
        os.close(self.go)
        allowed = os.read(self.wait, 1) == b"1"
        os.close(self.wait)
        os.close(self.told)
        return allowed


def launch(
    ground: stage.Stage,
    arrange: Callable[[], None],
    serve: Callable[[stage.Stage, int], None],
    fail: Callable[[str], None],
) -> None:
    """Run a server to its end, in new namespaces if the system grants them. Returns in the launcher only."""
    kernel.adopt_orphans()
    parent = _PARENT if _hold_parent() else -1

    def start(spaces: frozenset[str], attempt: _Attempt) -> NoReturn:
        _be_server(ground, spaces, attempt, lambda: _run(ground, parent, arrange, serve, fail))

    spaces = ground.spaces()
    reason = _try(ground, spaces, start) if spaces else ""
    if reason or not spaces:
        for space in spaces:
            ground.refused[f"{space}-namespace"] = reason
        for space in frozenset(stage.SPACES) - spaces:
            ground.refused[f"{space}-namespace"] = "not asked for"
        trouble = _try(ground, frozenset(), start)
        if trouble:
            fail_from_here(arrange, fail, trouble)
    _wait()
    folder.remove(ground.base)


def _hold_parent() -> bool:
    """Keep a handle on the parent where no file of a case will be put."""
    if not hasattr(os, "pidfd_open"):
        return False
    handle = os.pidfd_open(os.getppid())
    os.dup2(handle, _PARENT)
    os.close(handle)
    return True


def fail_from_here(arrange: Callable[[], None], fail: Callable[[str], None], text: str) -> None:
    """Tell the parent that there will be no server."""
    arrange()
    fail(text)


def _run(
    ground: stage.Stage,
    parent: int,
    arrange: Callable[[], None],
    serve: Callable[[stage.Stage, int], None],
    fail: Callable[[str], None],
) -> None:
    arrange()
    try:
        ground.close()
        serve(ground, parent)
    except (stage.Closed, BrokenPipeError):
        return
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it: there is no other reader
        fail(f"{type(error).__name__}: {error}")


def _try(ground: stage.Stage, spaces: frozenset[str], start: Callable[[frozenset[str], _Attempt], NoReturn]) -> str:
    """Start a server in new namespaces; the reason if that cannot be."""
    attempt = _Attempt()
    between = os.fork()
    if between == 0:
        _go_between(ground, spaces, attempt, start)
    os.close(attempt.tell)
    os.close(attempt.wait)
    said = b""
    while part := os.read(attempt.told, 1000):
        said += part
    os.waitpid(between, 0)
    if said == _READY:
        os.write(attempt.go, b"1")
    os.close(attempt.go)
    os.close(attempt.told)
    return "" if said == _READY else said.decode("utf-8", "replace") or "the process that should do it ended"


def _go_between(
    ground: stage.Stage,
    spaces: frozenset[str],
    attempt: _Attempt,
    start: Callable[[frozenset[str], _Attempt], NoReturn],
) -> NoReturn:
    try:
        if spaces:
            ground.leave(spaces)
        if os.fork() == 0:
            start(spaces, attempt)
    except OSError as error:
        attempt.report(str(error).encode())
    finally:
        os._exit(0)


def _be_server(ground: stage.Stage, spaces: frozenset[str], attempt: _Attempt, run: Callable[[], None]) -> NoReturn:
    try:
        ground.arrive(spaces)
        attempt.report(_READY)
        # Only now: until the go-between has ended, the server's parent is not the launcher.
        if attempt.may_go_on():
            run()
    except (OSError, KeyError) as error:
        attempt.report(str(error).encode())
    finally:
        os._exit(0)


def _wait() -> None:
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        return
