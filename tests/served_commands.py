"""Our servers as a user starts them: the command, in a process of its own, on a free port."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def started(*words: str) -> Iterator[str]:
    """`gamekeeper WORDS --port 0`, and the address that it says it serves at. It ends with the block."""
    call = [sys.executable, "-m", "gamekeeper", *words, "--port", "0"]
    calm = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=calm) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        try:
            name, _, url = said.strip().rpartition(" at ")
            assert name, f"{words} did not start"
            yield url
        finally:
            process.terminate()
            _, wrong = process.communicate(timeout=30)
            assert "Traceback" not in wrong, wrong
