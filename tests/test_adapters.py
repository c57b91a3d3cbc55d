"""What the adapters share: versions, messages where a library is absent or unfit, and the programs that test them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from gamekeeper.adapters import library
from gamekeeper.adapters.library import LIBRARIES, Library, need, release
from gamekeeper.adapters.verl.export import Export, export
from gamekeeper.cli import app
from gamekeeper.errors import MissingExtra, UnknownName, UsageError, WrongVersion
from gamekeeper.registry import load_game
from gamekeeper.scaffold import create_taskset

ROOT = Path(__file__).resolve().parent.parent
TABLE = {"x": Library("some-dist", "json", "1.2", "2")}


@pytest.fixture(scope="module")
def harness() -> ModuleType:
    spec = spec_from_file_location("adapters_harness", ROOT / "scripts" / "adapters.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("extra", LIBRARIES)
def test_ranges_are_those_of_the_extras(extra: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = LIBRARIES[extra]
    assert extras[extra][0] == f"{wanted.distribution}{wanted.range}"


@pytest.mark.parametrize("found", ["1.2", "1.2.0rc1", "1.9.99", "1.10"])
def test_a_version_in_the_range_is_taken(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(library, "version", lambda name: found)
    assert need("x", "This", TABLE) is json


@pytest.mark.parametrize("found", ["1.1.9", "2", "2.0.0", "10.0", "0"])
def test_a_version_outside_is_refused_with_the_range(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(library, "version", lambda name: found)
    with pytest.raises(WrongVersion, match=rf"This cannot use some-dist {found}: versions >=1\.2,<2 .*gamekeeper\[x\]"):
        need("x", "This", TABLE)


def test_an_absent_library_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(library, "version", absent)
    with pytest.raises(MissingExtra, match=r"This needs the package 'some-dist'.*gamekeeper\[x\]"):
        need("x", "This", TABLE)
    with pytest.raises(UnknownName):
        need("y", "This", TABLE)


@pytest.mark.parametrize("found", ["0.0.9", "99.1"])
@pytest.mark.parametrize(
    ("extra", "call"),
    [
        ("trl", "run summary --backend trl --arm flawed --steps 1 --out OUT"),
        ("trl", "run summary --backend trl --arm flawed --dry-run"),
        ("verl", "export check FOLDER"),
        ("tensorboard", "run summary --arm flawed --track tensorboard --out OUT"),
        ("trackio", "run summary --arm flawed --track trackio --out OUT"),
        ("wandb", "run summary --arm flawed --track wandb --out OUT"),
        ("inspect", "export inspect OUT"),
        ("openenv", "openenv tamper --port 0"),
    ],
)
def test_a_command_names_the_range_of_its_library(
    extra: str, call: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the library is installed and where it is not: its version is looked at before it is imported."""
    monkeypatch.setattr(library, "version", lambda name: found)
    folder = tmp_path / "folder"
    export(load_game("summary"), folder, Export("m", rows=96, test_rows=1))
    words = call.replace("OUT", str(tmp_path / "out")).replace("FOLDER", str(folder)).split()
    done = CliRunner().invoke(app, words)
    said = " ".join(done.output.split())
    wanted = LIBRARIES[extra]
    assert done.exit_code == 2, said
    assert f"cannot use {wanted.distribution} {found}: versions {wanted.range} are supported" in said
    assert f"pip install 'gamekeeper[{extra}]'" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("extra", "module"), [("verifiers", "verifiers"), ("inspect", "inspect.tasks")])
def test_a_module_that_a_library_loads_names_the_range(
    extra: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "version", lambda name: "99.1")
    for name in [name for name in sys.modules if name.startswith(f"gamekeeper.adapters.{extra}")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(WrongVersion, match=re.escape(LIBRARIES[extra].range)):
        import_module(f"gamekeeper.adapters.{module}")


def test_releases_compare_as_numbers() -> None:
    assert release("0.10") > release("0.9.9")
    assert release("2.0.0") == release("2")
    assert release("1.2.0rc1") == release("1.2")


def test_each_adapter_has_a_test_file_and_extras(harness: ModuleType) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name, adapter in harness.ADAPTERS.items():
        assert harness.tests_of(name)
        assert set(adapter.extras) <= set(extras)
        assert "==" in adapter.pins[0], "the library itself is pinned"
    every = {p for name in harness.ADAPTERS for p in harness.tests_of(name)}
    assert every == set((ROOT / "tests" / "adapters").glob("test_*.py")), "a file that no adapter runs"


def test_an_adapters_own_pins_go_first(harness: ModuleType) -> None:
    adapter = harness.Adapter("w", ("x",), ("Some_Lib==1", "transformers==5.9.0", "plain"))
    lines = harness.constraints(adapter).splitlines()
    assert "transformers==5.9.0" in lines
    assert not any(line.startswith("transformers==") and line != "transformers==5.9.0" for line in lines)
    assert any(line.startswith("torch==") for line in lines)
    assert "plain" not in lines
    assert adapter.libraries == ("some-lib", "transformers", "plain")


def test_an_environment_is_made_once_beside_the_base(
    harness: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def run(call: list[str], **_: object) -> None:
        Path(call[2]).mkdir(parents=True, exist_ok=True)
        made.append(Path(call[2]).name)

    monkeypatch.setattr(harness, "HOME", tmp_path)
    monkeypatch.setattr(harness.subprocess, "run", run)
    adapter = harness.ADAPTERS["openenv"]
    for _ in range(2):
        harness.environment("openenv", adapter)
    assert made == ["base", "openenv"]
    (seen,) = (tmp_path / "openenv").rglob("*.pth")
    assert seen.read_text().strip() == str(tmp_path / "base" / harness.PACKAGES)
    harness.environment("openenv", replace(adapter, pins=("openenv==0.10.1",)))
    assert made == ["base", "openenv", "openenv"], "other versions, another environment"


def test_an_environment_that_cannot_be_made_is_told_from_a_failed_test(
    harness: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def environment(name: str, _: object) -> Path:
        if name == "verl":
            raise subprocess.CalledProcessError(1, "sh")
        return Path("python")

    monkeypatch.setattr(harness, "environment", environment)
    monkeypatch.setattr(harness, "tested", lambda *_: (3, ""))
    monkeypatch.setattr(harness, "versions", lambda _, names: dict.fromkeys(names, "1"))
    assert harness.main(["verl", "openenv"]) == 3
    assert "FAILED: verl: its environment could not be made" in capsys.readouterr().err
    monkeypatch.setattr(harness, "tested", lambda *_: (3, "1 failures"))
    assert harness.main(["verl", "openenv"]) == 1
    monkeypatch.setattr(harness, "tested", lambda *_: (3, ""))
    assert harness.main(["openenv"]) == 0


def test_a_taskset_package_is_written_whole_and_named_after_its_folder(tmp_path: Path) -> None:
    module = create_taskset("tamper", "secure", tmp_path / "tamper-safe")
    assert module == "tamper_safe"
    text = (tmp_path / "tamper-safe" / "tamper_safe.py").read_text()
    compile(text, "tamper_safe.py", "exec")
    assert 'GAME = "tamper"' in text
    assert 'PATCHES = "secure"' in text
    about = tomllib.loads((tmp_path / "tamper-safe" / "pyproject.toml").read_text())
    assert about["project"]["name"] == "tamper-safe"
    assert about["tool"]["setuptools"]["py-modules"] == ["tamper_safe"]


@pytest.mark.parametrize(
    ("name", "words"), [("json", "installed already"), ("Big", "Use lower-case"), ("class", "Use lower-case")]
)
def test_a_folder_that_cannot_name_a_package_is_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        create_taskset("tamper", "flawed", tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        create_taskset("tamper", "flawed", tmp_path / "mine")
    assert list((tmp_path / "mine").iterdir()) == []


JUNIT = '<testsuites><testsuite tests="{}" failures="{}" errors="{}" skipped="{}"/></testsuites>'


@pytest.mark.parametrize(
    ("counts", "passed", "word"),
    [((5, 0, 0, 0), 5, ""), ((5, 1, 0, 0), 4, "failures"), ((5, 0, 2, 0), 3, "errors"), ((5, 0, 0, 1), 4, "skipped"),
     ((0, 0, 0, 0), 0, "no test ran")],
)  # fmt: skip
def test_only_whole_success_is_success(
    harness: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    counts: tuple[int, ...],
    passed: int,
    word: str,
) -> None:
    """A skipped test is an adapter that was not tested."""
    monkeypatch.setattr(harness, "HOME", tmp_path)

    def run(*_: object, **__: object) -> None:
        (tmp_path / "inspect.xml").write_text(JUNIT.format(*counts))

    monkeypatch.setattr(harness.subprocess, "run", run)
    found, wrong = harness.tested("inspect", tmp_path / "bin" / "python")
    assert found == passed
    assert word in wrong
    assert bool(wrong) == bool(word)


def test_a_record_keeps_the_other_adapters(
    harness: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "RECORD", tmp_path / "adapters.json")
    harness.record({"openenv": {"passed": 1}})
    harness.record({"inspect": {"passed": 2}})
    harness.record({"openenv": {"passed": 3}})
    assert json.loads((tmp_path / "adapters.json").read_text())["adapters"] == {
        "inspect": {"passed": 2},
        "openenv": {"passed": 3},
    }


def test_an_unknown_adapter_is_a_usage_error() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "adapters.py"), "nope"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "Known: " in done.stderr
    assert "inspect" in done.stderr
