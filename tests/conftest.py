"""Fixtures that every test file may use."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure of a property; hangs are what pytest's own timeout is for.
# The same examples every time, so that only a change makes a test fail; `--hypothesis-profile search` draws new ones.
settings.register_profile("gamekeeper", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile("gamekeeper")

# A shell without job control starts what is put in the background with SIGINT ignored, and commands inherit that: the
# tests that interrupt one would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the public data files beside the checkout; skipped aloud where a user has none."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"no public data files at {folder}: tests on the paper's data did not run")
    return folder
