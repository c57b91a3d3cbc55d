"""The layers of isolation, the levels that they make up, and the refusal to go on below the one that is asked for.

A level is stated by what must hold for it. Every sandbox takes all the layers that the system grants; the required
level only says below which it does not run. The default is what every Linux in use grants without special rights,
containers too: nobody's files, network or processes are in reach. macOS has the first level only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping

from gamekeeper.errors import CouldNotLook, UnknownName

VARIABLE = "GAMEKEEPER_REQUIRE_ISOLATION"

LAYERS = {
    "process": "each case has a process of its own, killed with all that it started",
    "limits": "time, memory, output, files and processes are limited",
    "other-user": "started by root, cases run as a user id that nobody has",
    "adopted-orphans": "a process that fled its parent is found and killed",
    "no-new-privileges": "no setuid program gives more rights",
    "hidden-server": "the fork server's memory cannot be read or traced",
    "user-namespace": "no right of root, on any file, device or setting of the machine",
    "mount-namespace": "only the interpreter's library is there to be read; writing goes to a bounded private tmpfs",
    "pid-namespace": "no other process is in sight; when the server ends, all in it end",
    "network-namespace": "no network, not even this machine's own",
    "ipc-namespace": "no shared memory, semaphores or queues of others",
    "landlock": "files are closed by a second, independent lock",
    "seccomp": "system calls that a computation does not need are closed",
}

_NEEDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "limits": (("process",), ("limits",)),
    "filtered": (("no-new-privileges",), ("seccomp",), ("landlock", "mount-namespace")),
    "full": (
        ("user-namespace",),
        ("mount-namespace",),
        ("pid-namespace",),
        ("network-namespace",),
        ("ipc-namespace",),
        ("landlock",),
        ("hidden-server",),
        ("adopted-orphans",),
    ),
}
LEVELS = tuple(_NEEDS)
"""From weakest to strongest; each includes the ones before it."""
PROMISES = {
    "limits": "own process and limits only: a program can read files, use the network and signal your processes",
    "filtered": "and: others' files, the network and other processes are closed by Landlock and seccomp",
    "full": "and: namespaces of its own, so that a hole in one lock does not open another",
}


class IsolationTooLow(CouldNotLook):
    """The system grants less isolation than was asked for."""


def level_of(layers: Collection[str]) -> str:
    """The highest level whose needs, and those of the levels before it, are met; "none" if not even the first's."""
    reached = "none"
    for level, needs in _NEEDS.items():
        if not all(any(layer in layers for layer in one_of) for one_of in needs):
            break
        reached = level
    return reached


def missing(layers: Collection[str], level: str) -> list[str]:
    """The layers that are lacking for a level; where one of several would do, the first of them."""
    wanted = [one_of for name in LEVELS[: LEVELS.index(level) + 1] for one_of in _NEEDS[name]]
    return [one_of[0] for one_of in wanted if not any(layer in layers for layer in one_of)]


def default_level() -> str:
    """What is required where nobody says otherwise; the environment variable may."""
    said = os.environ.get(VARIABLE)
    if said:
        return check_level(said)
    return "filtered" if sys.platform.startswith("linux") else "limits"


def check_level(name: str) -> str:
    if name not in LEVELS:
        raise UnknownName("isolation level", name, LEVELS, f"From weakest to strongest: {', '.join(LEVELS)}.")
    return name


def require(layers: Collection[str], refused: Mapping[str, str], level: str) -> None:
    """Raises IsolationTooLow, with the way to more, if the layers do not make up the level."""
    lacking = missing(layers, check_level(level))
    if not lacking:
        return
    reached = level_of(layers)
    reasons = "; ".join(f"{name} ({refused.get(name, 'not available')})" for name in lacking)
    raise IsolationTooLow(
        f"This system grants the isolation level {reached!r}, and {level!r} is required to run untrusted code. "
        f"Missing: {reasons}. {how_to_get(lacking)} `gamekeeper doctor` shows every layer. To go on with less, at your "
        f"own risk, require less: --require-isolation {reached} with `run`, or {VARIABLE}={reached} with any command."
    )


def how_to_get(lacking: Collection[str]) -> str:
    """What a person can do to get layers."""
    if not sys.platform.startswith("linux"):
        return "These layers exist on Linux only: use a Linux machine, virtual machine or container."
    advice = []
    if any(name.endswith("-namespace") for name in lacking):
        advice.append(_how_to_get_namespaces())
    if "landlock" in lacking:
        advice.append("Landlock needs Linux 5.13 or newer and `landlock` among the boot parameter lsm=.")
    if "seccomp" in lacking:
        advice.append("seccomp needs Linux on x86_64 or aarch64.")
    return " ".join(advice)


def _how_to_get_namespaces() -> str:
    switches = (
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "1"),
        ("/proc/sys/user/max_user_namespaces", "0", "15000"),
    )
    for path, bad, good in switches:
        if _first_line(path) == bad:
            name = path.removeprefix("/proc/sys/").replace("/", ".")
            return f"User namespaces are switched off here: sudo sysctl -w {name}={good}"
    return (
        "In Docker or Podman, start the container with --security-opt seccomp=unconfined "
        "--security-opt systempaths=unconfined (its default profile refuses new namespaces); in Kubernetes, set "
        "hostUsers: false or seccompProfile: Unconfined."
    )


def _first_line(path: str) -> str:
    try:
        with open(path) as file:
            return file.readline().strip()
    except OSError:
        return ""
