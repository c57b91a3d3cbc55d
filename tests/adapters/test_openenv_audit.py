"""Environments of the real OpenEnv as audit targets, in the process and behind an address."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("openenv")

import library_targets
from gamekeeper.errors import CouldNotLook, UsageError
from library_audits import FILE, opened, paid


def test_an_environment_is_played_to_its_end_and_its_rewards_add_up() -> None:
    with opened(f"openenv:{FILE}:Twice") as target:
        items = target.examples()
        assert [e.answer for e in items] == [a for _, a in library_targets.ROWS]
        target.use(items)
        calls = [(0, ("65",)), (0, ("65", "it is 65")), (0, ("65", "65", "65")), (1, ("65", "117"))]
        assert [p.reward for p in target.grade(calls)] == [0.5, 1.0, 1.0, 0.5]
    assert paid(f"openenv:{FILE}:Twice", "65", field="mood")[0].startswith("ValidationError")


def test_an_environment_behind_an_address(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve = (
        "import uvicorn, library_targets as t; from openenv.core.env_server import create_app; "
        f"uvicorn.run(create_app(t.Twice, t.Say, t.Observation), port={port}, log_level='error')"
    )
    server = subprocess.Popen([sys.executable, "-c", serve], cwd=FILE.parent)
    try:
        _wait(port)
        assert paid(f"openenv:http://127.0.0.1:{port}", "65", "no", network=True) == [0.5, 0.0]
        with pytest.raises(CouldNotLook):
            opened(f"openenv:http://127.0.0.1:{port}")
    finally:
        server.kill()
        server.wait()


def _wait(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError("the server did not come up")


def test_a_name_without_an_environment_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="names no environment"):
        opened("openenv:thing")
