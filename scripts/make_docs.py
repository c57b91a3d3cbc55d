"""Fill the generated parts of README.md and docs/: `make docs` writes them, `make docs-check` says which are stale.

A part stands between two comments, and only what is between them is touched:

    <!-- generated: NAME ARGUMENT... -->
    <!-- end -->

NAME is a function of scripts/doc_blocks.py. What can be read off the code or off a committed record is written this
way and no other, so that no table, no help text and no output in the docs can differ from what the program does.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from doc_blocks import BLOCKS, make

ROOT = Path(__file__).resolve().parent.parent
OPEN = re.compile(r"<!-- generated: ?(?P<call>[^>]*?) ?-->")
PART = re.compile(OPEN.pattern + r"\n(?P<text>.*?)<!-- end -->", re.DOTALL)


def pages(root: Path) -> list[Path]:
    """The pages that may hold generated parts, the README first."""
    return [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))]


def filled(text: str) -> str:
    """The page with every generated part made anew. Raises SystemExit on a part that is not well formed."""
    check_marks(text)
    return PART.sub(lambda m: f"<!-- generated: {m['call']} -->\n\n{make(m['call'])}\n\n<!-- end -->", text)


def check_marks(text: str) -> None:
    """A part without an end would swallow the page up to the next one's."""
    opened = [m["call"] for m in OPEN.finditer(text)]
    for call in opened:
        if not call or call.split()[0] not in BLOCKS:
            raise SystemExit(f"Unknown generated part {call!r}. Known: {', '.join(BLOCKS)}.")
    closed = [m for m in PART.finditer(text) if not OPEN.search(m["text"])]
    if len(closed) != len(opened) or text.count("<!-- end -->") != len(opened):
        raise SystemExit(f"Each generated part needs one <!-- end -->; look at: {', '.join(opened)}.")


def stale(root: Path) -> Iterator[tuple[Path, str, str]]:
    """Pages that differ from what they should be: path, present text, right text."""
    for path in pages(root):
        present = path.read_text()
        right = filled(present)
        if right != present:
            yield path, present, right


def difference(path: Path, present: str, right: str) -> str:
    lines = difflib.unified_diff(
        present.splitlines(), right.splitlines(), f"{path} as it is", "as it should be", lineterm=""
    )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a page is out of date")
    args = parser.parse_args()
    found = list(stale(ROOT))
    for path, present, right in found:
        name = path.relative_to(ROOT)
        if args.check:
            print(difference(name, present, right))
        else:
            path.write_text(right)
            print(f"wrote {name}")
    if args.check and found:
        print("\nGenerated parts are out of date. Run: make docs")
        return 1
    if not found:
        print("The generated parts are up to date.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
