"""Each adapter against the real library, in a virtual environment of its own: `make test-adapters`.

The libraries contradict each other (verifiers wants mcp 2, openenv wants mcp 1, verl an old transformers), so no one
environment can hold them all. For each line of ADAPTERS this makes `.venv-adapters/NAME` with the package, the
adapter's extra and the exact versions below, and runs tests/adapters/test_NAME*.py in it, the library's graders as
targets of the audit among them. There nothing may be skipped:
an adapter whose tests did not run has not been tested. What all share, torch above all, is in `.venv-adapters/base`.

    python scripts/adapters.py                  all of them
    python scripts/adapters.py inspect verl     some
    python scripts/adapters.py --record         and write docs/records/adapters.json, which the README's matrix shows

An environment is kept and used again until something that it was made from changes.
Exit codes: 0 all passed, 1 a test failed, 2 no such adapter, 3 an environment could not be made.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv-adapters"
RECORD = ROOT / "docs" / "records" / "adapters.json"
TESTING = ("pytest", "pytest-timeout", "hypothesis")
MINUTES = 20
PACKAGES = Path("lib") / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
# Other people's deprecations are not ours to repair; our own are.
WARNINGS = "filterwarnings=default\nerror:::gamekeeper(\\..*)?"
_SOURCES = ("pyproject.toml", "constraints.txt", "scripts/venv.sh")


@dataclass(frozen=True)
class Adapter:
    """One adapter and what it is tested with.

    what: for the matrix, in a few words. extras: of this package, the adapter's own first; none
    where the library is a target of the audit only.
    pins: requirements with exact versions, the library itself first; they go before constraints.txt.
    shown: distributions whose versions the matrix shows, the library first; the pinned ones by default.
    """

    what: str
    extras: tuple[str, ...]
    pins: tuple[str, ...]
    shown: tuple[str, ...] = ()

    @property
    def libraries(self) -> tuple[str, ...]:
        return self.shown or tuple(name_of(pin) for pin in self.pins)


ADAPTERS = {
    "trl": Adapter(
        "train any Hugging Face model by TRL's GRPO and SFT",
        ("trl", "lora"),
        ("trl==1.16.0", "transformers==5.23.0", "peft==0.21.2", "math-verify==0.9.0"),
        ("trl", "transformers", "peft"),
    ),
    "verl": Adapter(
        "export games for verl on a cluster",
        ("verl",),
        (
            "verl==0.9.1",
            "transformers<5.11",
            "tokenizers",
            "TransferQueue==0.1.11",
            "cachetools",
            "uvicorn",
            "fastapi",
            "math-verify==0.9.0",  # this and the next: for scorers that the audit looks at
            "mathruler==0.1.0",
        ),
        ("verl", "transformers", "ray"),
    ),
    "trackers": Adapter(
        "log runs to TensorBoard, Trackio or wandb as well",
        ("tensorboard", "trackio", "wandb", "train"),
        ("tensorboard==2.21.0", "trackio==0.43.0", "wandb==0.31.0"),
    ),
    "inspect": Adapter(
        "evaluate any model by Inspect; export runs as its logs",
        ("inspect", "train", "serve"),
        ("inspect_ai==0.3.285", "openai==3.54.0"),
    ),
    "verifiers": Adapter(
        "games as tasksets for verifiers and prime-rl",
        ("verifiers", "train", "serve"),
        ("verifiers==0.4.0",),
    ),
    "openenv": Adapter(
        "games as environment servers",
        ("openenv", "train", "serve"),
        ("openenv==0.10.0",),
    ),
    "reasoning_gym": Adapter(
        "audit its data sets' graders",
        (),
        ("reasoning-gym==0.1.25", "math-verify==0.9.0"),
    ),
    "ray": Adapter(
        "spread a study over a Ray cluster",
        ("ray", "train"),
        ("ray==2.60.0",),
    ),
}

# torch and what tests need: large, slow to unpack, the same for all.
BASE = Adapter("what all share", (), TESTING)


def name_of(requirement: str) -> str:
    """The distribution that a requirement names, as pip compares names."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;@]", requirement.strip(), maxsplit=1)[0]).lower()


def tests_of(name: str) -> list[Path]:
    """test_NAME.py, and test_NAME_*.py where one file would be too long."""
    folder = ROOT / "tests" / "adapters"
    return sorted([*folder.glob(f"test_{name}.py"), *folder.glob(f"test_{name}_*.py")])


# Environments


def constraints(adapter: Adapter) -> str:
    """constraints.txt, save where the adapter's own pins say otherwise."""
    own = {name_of(pin) for pin in adapter.pins}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    kept = [line for line in lines if line.strip() and not line.startswith("#") and name_of(line) not in own]
    return "\n".join([*kept, *(pin for pin in adapter.pins if "==" in pin or "<" in pin)]) + "\n"


def digest(adapter: Adapter) -> str:
    """What an environment was made from."""
    parts = [sys.version, repr(adapter), *((ROOT / name).read_text() for name in _SOURCES)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def environment(name: str, adapter: Adapter) -> Path:
    """The Python of the adapter's environment, made anew where it is absent or out of date.

    Raises CalledProcessError when it cannot be made.
    """
    if not ready("base", BASE):
        made("base", BASE, TESTING)
    if not ready(name, adapter):
        extras = f"[{','.join(adapter.extras)}]" if adapter.extras else ""
        made(name, adapter, ("-e", f".{extras}", *adapter.pins), beside="base")
    return HOME / name / "bin" / "python"


def ready(name: str, adapter: Adapter) -> bool:
    mark = HOME / name / ".ready"
    return mark.is_file() and mark.read_text() == digest(adapter)


def made(name: str, adapter: Adapter, wanted: Iterable[str], beside: str = "") -> None:
    """Make an environment. beside: another one whose packages it sees, unless it has a version of its own."""
    folder, limits = HOME / name, HOME / f"{name}-constraints.txt"
    shutil.rmtree(folder, ignore_errors=True)
    HOME.mkdir(exist_ok=True)
    limits.write_text(constraints(adapter))
    if beside:
        packages = folder / PACKAGES
        packages.mkdir(parents=True)
        (packages / "beside.pth").write_text(f"{HOME / beside / PACKAGES}\n")
    told = {**os.environ, "CONSTRAINTS": str(limits), "PYTHON": sys.executable}
    subprocess.run(["sh", "scripts/venv.sh", str(folder), *wanted], cwd=ROOT, check=True, env=told)
    (folder / ".ready").write_text(digest(adapter))


def versions(python: Path, names: Iterable[str]) -> dict[str, str]:
    asked = "import sys, importlib.metadata as m; print('\\n'.join(m.version(n) for n in sys.argv[1:]))"
    names = list(names)
    found = subprocess.run([str(python), "-c", asked, *names], capture_output=True, text=True, check=True)
    return dict(zip(names, found.stdout.split(), strict=True))


# Tests


def counts(report: Path) -> dict[str, int]:
    """How many tests a junit file tells of, by outcome."""
    suite = ElementTree.parse(report).getroot().find("testsuite")
    if suite is None:
        return {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    return {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}


def tested(name: str, python: Path) -> tuple[int, str]:
    """(how many tests passed, what is wrong or "")."""
    report = HOME / f"{name}.xml"
    report.unlink(missing_ok=True)
    call = [str(python), "-m", "pytest", "-m", "", "-o", WARNINGS, f"--junitxml={report}"]
    call += [str(path) for path in tests_of(name)]
    path = f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    calm = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "PATH": path}
    try:
        subprocess.run(call, cwd=ROOT, env={**os.environ, **calm}, timeout=60 * MINUTES, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return 0, f"no end after {MINUTES} minutes"
    if not report.is_file():
        return 0, "pytest left no report"
    found = counts(report)
    passed = found["tests"] - found["failures"] - found["errors"] - found["skipped"]
    wrong = [f"{found[key]} {key}" for key in ("failures", "errors", "skipped") if found[key]]
    return passed, ", ".join(wrong) or ("" if passed else "no test ran")


def record(rows: dict[str, dict[str, object]]) -> None:
    """Renew the rows of these adapters and keep the others."""
    known = json.loads(RECORD.read_text())["adapters"] if RECORD.is_file() else {}
    merged = {**known, **rows}
    ordered = {name: merged[name] for name in ADAPTERS if name in merged}
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    command = "python scripts/adapters.py --record"
    RECORD.write_text(json.dumps({"command": command, "adapters": ordered}, indent=1) + "\n")


def row(adapter: Adapter, python: Path, passed: int) -> dict[str, object]:
    found = versions(python, ["torch", *adapter.libraries])
    about = {
        "what": adapter.what,
        "extra": adapter.extras[0] if adapter.extras else None,
        "libraries": list(adapter.libraries),
    }
    return {**about, "versions": found, "python": sys.version.split()[0], "passed": passed}


def run(name: str, making: Future[Path]) -> tuple[dict[str, object] | None, str]:
    """(the row for the record, what is wrong or "") of one adapter, when its environment is made."""
    try:
        python = making.result()
    except subprocess.CalledProcessError:
        return None, "its environment could not be made"
    passed, wrong = tested(name, python)
    return (None, wrong) if wrong else (row(ADAPTERS[name], python, passed), "")


def outcomes(names: Sequence[str]) -> tuple[dict[str, dict[str, object]], dict[str, str]]:
    """(rows of the adapters that passed, what is wrong with the others). While one is tested, the environment of the
    next is made: the former computes, the latter waits for the network and the disk."""
    rows: dict[str, dict[str, object]] = {}
    failed: dict[str, str] = {}
    maker = ThreadPoolExecutor(1)
    try:
        making = {name: maker.submit(environment, name, ADAPTERS[name]) for name in names}
        for name in names:
            start = time.monotonic()
            found, wrong = run(name, making[name])
            if found is None:
                failed[name] = wrong
            else:
                rows[name] = found
            print(f"== {name}: {wrong or 'passed'}, {time.monotonic() - start:.0f} s", flush=True)
    finally:
        maker.shutdown(cancel_futures=True)
    return rows, failed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which adapters (default: all of {', '.join(ADAPTERS)})"
    )
    parser.add_argument("--record", action="store_true", help="write docs/records/adapters.json")
    args = parser.parse_args(arguments)
    if unknown := [name for name in args.names if name not in ADAPTERS]:
        print(f"No adapter {unknown[0]!r}. Known: {', '.join(ADAPTERS)}.", file=sys.stderr)
        return 2
    rows, failed = outcomes(args.names or list(ADAPTERS))
    if args.record:
        record(rows)
    return conclusion(rows, failed)


def conclusion(rows: dict[str, dict[str, object]], failed: dict[str, str]) -> int:
    for name, wrong in failed.items():
        print(f"FAILED: {name}: {wrong}", file=sys.stderr)
    print(f"{len(rows)} of {len(rows) + len(failed)} adapters passed.")
    if not failed:
        return 0
    return 3 if all("environment" in wrong for wrong in failed.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
