"""Studies over Ray, as far as they go without it. With it, on a real cluster: tests/adapters/test_ray.py."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

from gamekeeper.adapters import library
from gamekeeper.errors import CouldNotLook, MissingExtra, WrongVersion
from gamekeeper.studies import spread


def absent(_: str) -> str:
    raise PackageNotFoundError


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "version", absent)
    with pytest.raises(MissingExtra, match=r"Spreading a study over a cluster .*pip install 'gamekeeper\[ray\]'"):
        spread.Spread("127.0.0.1:6379")


@pytest.mark.parametrize("version", ["1.13.0", "2.9.3", "3.0.0"])
def test_another_ray_is_refused(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(library, "version", lambda _: version)
    with pytest.raises(WrongVersion, match=rf"ray {version}: versions >=2\.30,<3"):
        spread.need_ray()


def test_no_cluster_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "version", lambda _: "2.50.0")
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(__version__="2.50.0"))
    with pytest.raises(CouldNotLook, match="There is no Ray cluster at"):
        spread.Spread("127.0.0.1:1")


def test_a_folder_survives_packing(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"\x00\xff")
    (tmp_path / "a" / ".lock").write_bytes(b"")
    spread.unpack(spread.pack(tmp_path / "a", leave=(".lock",)), tmp_path / "d")
    assert (tmp_path / "d" / "b" / "c").read_bytes() == b"\x00\xff"
    assert not (tmp_path / "d" / ".lock").exists()


def test_a_packed_folder_cannot_write_outside_its_place(tmp_path: Path) -> None:
    """What comes back from a node is files of one folder, whatever their names say."""
    import io
    import zipfile

    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as box:
        box.writestr("../outside", b"")
        box.writestr(f"{tmp_path}/absolute", b"")
    spread.unpack(held.getvalue(), tmp_path / "in")
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
