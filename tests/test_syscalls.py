"""The tables of system calls that the sandbox's filters are made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from gamekeeper.sandbox import syscalls

TABLES = " ".join([syscalls._OPEN, syscalls._MARKS, syscalls._SPECIAL, syscalls._MEMORY, syscalls._BY_PATH])


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_no_call_is_listed_twice_and_dangerous_ones_not_at_all(machine: str) -> None:
    found = syscalls.numbers(TABLES, machine)
    assert len(set(found.values())) == len(found)
    closed = {
        "execve",
        "execveat",
        "socket",
        "connect",
        "ptrace",
        "mount",
        "unshare",
        "setns",
        "bpf",
        "keyctl",
        "shmget",
    }
    assert not closed & set(found)
    for code in (syscalls.server_filter(machine, True), syscalls.case_filter(machine, 77)):
        assert len(code) % 8 == 0
        assert len(code) // 8 < 4096  # the kernel takes no longer ones


def test_this_machine_agrees_about_the_numbers() -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        pytest.skip("no kernel headers for x86_64 here: the numbers were not compared")
    lines = [line.split() for line in header.read_text().splitlines() if line.startswith("#define __NR_")]
    known = {words[1].removeprefix("__NR_"): int(words[2]) for words in lines}
    table = syscalls.numbers(TABLES + " " + syscalls._PER_CASE, "x86_64")
    assert {name: number for name, number in table.items() if known.get(name, number) != number} == {}
