"""The pytest plugin: a fixture `assert_resists`, there without an import once the package is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(name="assert_resists")
def _assert_resists() -> Callable[..., Any]:
    """`assert_resists(reward, examples, fail_on="medium")`; see `gamekeeper.audit.assert_resists`."""
    from gamekeeper.audit.guard import assert_resists

    return assert_resists
