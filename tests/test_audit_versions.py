"""Which versions of a library the audit takes, and what it says without one. Its targets: tests/adapters."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

from gamekeeper.audit.target import Spec
from gamekeeper.audit.targets import code, open_target
from gamekeeper.errors import UsageError


def test_a_missing_library_is_named_with_its_install_command() -> None:
    with pytest.raises(UsageError, match=r"pip install 'no-such-library>=1.2,<2'"):
        code.require("no-such-library", "1.2", "2")


@pytest.mark.parametrize(("found", "fine"), [("1.1.9", False), ("1.2", True), ("1.10.0rc1", True), ("2.0", False)])
def test_a_version_out_of_range_is_refused(found: str, fine: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "version", lambda _: found)
    if fine:
        assert code.require("thing", "1.2", "2") == found
        return
    with pytest.raises(UsageError, match=f"from 1.2 to below 2, and {found} is installed"):
        code.require("thing", "1.2", "2")


@pytest.mark.parametrize("kind", ["trl", "verl", "verifiers", "inspect", "reasoning_gym", "openenv"])
def test_a_kind_without_its_library_says_what_to_install(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = {"inspect": "inspect-ai", "reasoning_gym": "reasoning-gym"}.get(kind, kind)
    try:
        version(package)
    except PackageNotFoundError:
        with pytest.raises(UsageError, match=f"pip install '{package}>="):
            open_target(f"{kind}:thing", Spec("", folder="."))
        return
    with pytest.raises(UsageError):
        open_target(f"{kind}:no_such_thing_at_all", Spec("", folder="."))
