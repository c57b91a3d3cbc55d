"""The docs say what the program does: generated parts are current, links lead somewhere, everything has its place."""

from __future__ import annotations

import json
import re
import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gamekeeper.metrics import TABLE
from gamekeeper.registry import BUILTIN
from gamekeeper.studies.catalogue import STUDIES

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def script(folder: str, name: str) -> ModuleType:
    """A module of scripts/ or bench/, which are no packages."""
    path = ROOT / folder / f"{name}.py"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


@pytest.fixture(scope="module")
def docs() -> ModuleType:
    return script("scripts", "make_docs")


@pytest.fixture(scope="module")
def blocks(docs: ModuleType) -> ModuleType:
    return sys.modules["doc_blocks"]


def pages() -> list[Path]:
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    assert len(found) > 8
    return sorted(found)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as common renderers make them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_generated_parts_are_up_to_date(docs: ModuleType) -> None:
    stale = [docs.difference(path.relative_to(ROOT), present, right) for path, present, right in docs.stale(ROOT)]
    assert not stale, "run `make docs`:\n" + "\n".join(stale)


def test_a_stale_part_is_noticed_and_repaired(docs: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "CONTRIBUTING.md"):
        (tmp_path / name).write_text("nothing generated here\n")
    page = tmp_path / "docs" / "metrics.md"
    page.write_text("before\n<!-- generated: exit-codes -->\nold words\n<!-- end -->\nafter\n")
    [(path, present, right)] = docs.stale(tmp_path)
    assert (path, "old words" in present, "old words" in right) == (page, True, False)
    assert right.startswith("before\n<!-- generated: exit-codes -->\n\n| code |")
    assert right.endswith("<!-- end -->\nafter\n")
    page.write_text(right)
    assert list(docs.stale(tmp_path)) == []


@pytest.mark.parametrize(
    "text",
    [
        "<!-- generated: exit-codes -->\n",
        "<!-- generated: exit-codes -->\n<!-- generated: metrics -->\n<!-- end -->\n",
        "<!-- generated: no-such-part -->\n<!-- end -->\n",
        "<!-- end -->\n",
    ],
)
def test_a_part_that_is_not_well_formed_stops_the_command(docs: ModuleType, text: str) -> None:
    with pytest.raises(SystemExit):
        docs.filled(text)


def test_links_lead_somewhere() -> None:
    broken = []
    for page in pages():
        for target in LINK.findall(CODE.sub("", page.read_text())):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            aim = (page.parent / path).resolve() if path else page
            if not aim.exists() or (anchor and anchor not in anchors(aim)):
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken, "\n".join(broken)


def test_every_game_has_its_part_and_its_row() -> None:
    games, readme = (ROOT / "docs" / "games.md").read_text(), (ROOT / "README.md").read_text()
    for name in BUILTIN:
        assert f"\n## {name}\n\n<!-- generated: game {name} -->" in games
        assert f"| [{name}](docs/games.md#{name}) |" in readme


def test_every_study_says_by_what_commits_and_command_its_numbers_were_made() -> None:
    parts = dict(
        re.findall(
            r"<!-- generated: study (\S+) -->(.*?)<!-- end -->", (ROOT / "docs" / "results.md").read_text(), re.DOTALL
        )
    )
    assert list(parts) == list(STUDIES)
    for name, text in parts.items():
        last = text.strip().splitlines()[-1]
        assert "cells missing" not in last
        assert re.search(rf"commit [0-9a-f]{{12}}.*Made by: `gamekeeper study {name} --records docs/records", last), (
            last
        )


def test_every_verb_and_metric_is_documented(blocks: ModuleType) -> None:
    root, _ = blocks._root()
    cli, readme = (ROOT / "docs" / "cli.md").read_text(), (ROOT / "README.md").read_text()
    for verb in root.commands:
        assert f"\n## {verb}\n" in cli
        assert f"| [`{verb}`](docs/cli.md#{verb}) |" in readme
    metrics = (ROOT / "docs" / "metrics.md").read_text()
    for name in TABLE:
        assert f"\n| `{name}` |" in metrics


def test_every_verb_says_what_it_does(blocks: ModuleType) -> None:
    root, _ = blocks._root()
    for verb, command in root.commands.items():
        first = blocks.first_paragraph(command.help)
        assert first.endswith("."), f"{verb}: {first!r}"
        assert 10 < len(first) < 120, f"{verb}: {first!r}"


def test_the_readme_opens_with_a_sentence_a_picture_and_two_commands() -> None:
    title, sentence, picture, *rest = (ROOT / "README.md").read_text().split("\n\n")
    assert title == "# Gamekeeper"
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert picture.startswith("![")
    shown = "\n\n".join(rest[:2])
    assert re.findall(r"^make (\w+)", shown, re.MULTILINE) == ["run", "test"]


def test_outputs_in_the_readme_are_recorded_ones() -> None:
    """Each recorded output names its commit and machine; none is typed in by hand."""
    readme = (ROOT / "README.md").read_text()
    missing = set()
    for name in re.findall(r"<!-- generated: record (\S+) -->", readme):
        path = ROOT / "docs" / "records" / f"{name}.json"
        if not path.is_file():
            missing.add(name)
            continue
        kept = json.loads(path.read_text())
        said = [line for line in kept["output"].splitlines() if not re.fullmatch(r"\.+ +\[ *\d+%\]", line)]
        assert said  # rows of dots may be left out, nothing else
        assert all(line in readme for line in said)
        assert re.match(r"[0-9a-f]{40}", kept["machine"]["commit"])
    # The tests' own output can be recorded only where the tests pass, so they must pass without it.
    assert missing <= {"make-test"}, f"run `make record`: {sorted(missing)}"


def test_a_missing_record_leaves_a_plain_sentence(blocks: ModuleType) -> None:
    assert blocks.record("never-recorded") == blocks.NO_RECORD


def test_fences_hold_any_text(blocks: ModuleType) -> None:
    assert blocks.fenced("a\n```\nb") == "````text\na\n```\nb\n````"
    assert blocks.table(["a"], [["x|y\nz"]]) == "| a |\n| --- |\n| x\\|y z |"
    assert blocks.prose("a <b> `<c>` d") == "a &lt;b> `<c>` d"


# The page of measurements


@pytest.fixture(scope="module")
def page() -> ModuleType:
    return script("bench", "page")


MODEL = {
    "hidden_size": 2,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "head_dim": 2,
    "intermediate_size": 3,
    "num_hidden_layers": 1,
    "vocab_size": 5,
}


def test_useful_operations_by_hand(page: ModuleType) -> None:
    """2 prompts of 4 tokens, 3 replies each of 2 tokens.

    Weights of the layer: 2*2*(2+2) + 3*2*3 = 34, so 68 operations a token. Prompt tokens: 8, each sees 2 on average:
    8 * (68 + 4*2*2) = 672. New tokens: 12, each sees 5: 12 * (68 + 4*2*5) = 1296. Vocabulary: 12 * 2*2*5 = 240.
    """
    work = {"items_per_step": 2, "prompt_tokens": 4, "group": 3, "max_new_tokens": 2}
    assert page.useful_flops(MODEL, work) == {"generation": 2208, "update": 6624}


def side(name: str, seconds: float, memory: float) -> dict[str, Any]:
    spans = {k: [seconds] * 3 for k in ("step_s", "generation_s", "update_s")}
    return {"side": name, "scenario": "full", "peak_mb": memory, "setup_mb": 1.0, "new_tokens": [9, 9, 9], **spans}


@pytest.mark.parametrize(("theirs", "memory", "words"), [(5.0, 2.0, "5.00 times"), (2.0, 0.5, "2.00 times")])
def test_a_bar_that_is_missed_is_said_to_be(page: ModuleType, theirs: float, memory: float, words: str) -> None:
    found = {"native": side("native", 1.0, 1.0), "trl": side("trl", theirs, memory)}
    text = "\n".join(page.SECTIONS["full"](found, {}))
    assert words in text
    assert ("NOT met" in text) == (theirs < 2.5)
    assert text.count("NOT met") == (0 if theirs > 2.5 else 2)


def test_the_page_of_measurements_is_that_of_its_record(page: ModuleType, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs" / "records", tmp_path / "records")
    page.write(tmp_path)
    assert (tmp_path / "bench.md").read_text() == (ROOT / "docs" / "bench.md").read_text()
