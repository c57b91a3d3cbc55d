"""Run one of the README's commands and keep what it printed: `scripts/record.py run` writes docs/records/make-run.json.

The record holds the command, its standard output, the seconds it took, the machine and the commit. The docs show it
word for word (`record` in scripts/doc_blocks.py), so that no output there was typed by hand. `run` also draws the
README's picture, docs/img/tamper.svg, from the two runs that it made.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))

from machine import about  # noqa: E402 - bench/ is no package


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=("run", "test"))
    target = parser.parse_args().target
    start = time.perf_counter()
    done = subprocess.run(["make", target], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        print(f"make {target} ended with {done.returncode}; nothing is recorded.", file=sys.stderr)
        return done.returncode
    record = {
        "command": f"make {target}",
        "output": done.stdout.replace(str(ROOT), "."),
        "seconds": time.perf_counter() - start,
        "machine": about(["torch"]),
    }
    path = ROOT / "docs" / "records" / f"make-{target}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"wrote {path.relative_to(ROOT)}")
    if target == "run":
        draw(ROOT / "docs" / "img" / "tamper.svg")
    return 0


def draw(picture: Path) -> None:
    """The headline figure of the newest pair of runs."""
    from gamekeeper.report import headline_svg

    pairs = [p for p in (ROOT / "runs").glob("tamper-both-seed0*") if p.is_dir()]
    newest = max(pairs, key=lambda p: p.stat().st_mtime)
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(headline_svg([newest / "flawed", newest / "secure"]))
    print(f"wrote {picture.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
