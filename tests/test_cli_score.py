"""`gamekeeper score`: one score a line, clear complaints, nothing lost, and resuming.

Pinned here: (1) a row is what `Game.score` gives; (2) what stands before a bad line is written; (3) with --out the
same command scores each line once, however often it was killed; (4) scores of other replies are never mixed in.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gamekeeper import registry
from gamekeeper.cli import app, replies, scoring
from toy_games import TOYS, Toy

ID = "toy-2-test-0-{}"


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BUILTIN", TOYS)


def score(*args: str, text: str | bytes | None = None, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["score", "toy", *args], input=text)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def line(index: int, *said: str) -> str:
    return json.dumps({"item": ID.format(index), "replies": list(said)}) + "\n"


def without_settings(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k != "digest"}


def test_a_row_is_what_the_game_says() -> None:
    items = Toy().items("test", 3, 0)
    said = [(items[0].fields["word"], "yes"), ("pay me",), ()]
    text = "".join(line(k, *s) for k, s in enumerate(said))
    expected = [
        {"line": k + 1, "item": i.id, **Toy().score(i, s).to_json()}
        for k, (i, s) in enumerate(zip(items, said, strict=True))
    ]
    result = score("--replies", "-", text=text)
    assert [without_settings(r) for r in rows(result.stdout)] == expected
    assert [r["reward"] for r in rows(result.stdout)] == [1.0, 1.0, 0.0]
    assert "3 replies scored" in result.stderr
    secure = rows(score("--replies", "-", "--patches", "secure", text=text).stdout)
    assert [r["reward"] for r in secure] == [1.0, 0.0, 0.0]


def test_an_item_and_its_id_score_alike(tmp_path: Path) -> None:
    printed = CliRunner().invoke(app, ["items", "toy", "--n", "4", "--json"]).stdout.splitlines()
    given_full = "".join(json.dumps({"item": json.loads(p), "replies": ["pay me"]}) + "\n" for p in printed)
    by_id = "".join(line(k, "pay me") for k in range(4))
    full, short = (rows(score("--replies", "-", text=t).stdout) for t in (given_full, by_id))
    assert [without_settings(r) for r in full] == [without_settings(r) for r in short]


def test_chance_is_the_items_own_unless_a_seed_is_given() -> None:
    text = line(0, "x") + line(0, "x")
    coins = [r["evidence"] for r in rows(score("--replies", "-", text=text).stdout)]
    assert coins == [f"said 'x', coin {Toy().item_at('test', 0, 0).fields['coin']:.3f}"] * 2
    drawn = [[r["evidence"] for r in rows(score("--replies", "-", "--seed", s, text=text).stdout)] for s in "112"]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len({*drawn[0], *coins}) == 3


def test_paper_items_are_looked_up_in_the_data(tmp_path: Path) -> None:
    (tmp_path / "toys.json").write_text(json.dumps([{"word": "w0", "coin": 0.5}, {"word": "w1", "coin": 0.5}]))
    data = ["--data", str(tmp_path / "toys.json"), "--replies", "-"]
    text = json.dumps({"item": "toy-paper-test-1", "replies": ["w1"]})
    assert rows(score(*data, text=text).stdout)[0]["truth"] == 1.0
    missing = score(*data, text=json.dumps({"item": "toy-paper-test-9", "replies": []}), code=2).stderr
    assert "stdin:1: no item 'toy-paper-test-9'" in missing


def test_the_summary_counts_what_was_not_scored_aloud() -> None:
    text = line(0, "ungradable") + line(1, "pay me") + "not json\n" + line(2, "ungradable")
    result = score("--replies", "-", "--keep-going", text=text)
    assert "2 UNSCORED: the judge is asleep" in result.stderr
    assert "1 BAD LINES PASSED OVER" in result.stderr
    assert "passed over: stdin:3: " in result.stderr
    summary = json.loads(score("--replies", "-", "--keep-going", "--json", text=text).stderr.splitlines()[-1])
    assert summary["scored"] == 1
    assert summary["bad_lines"] == 1
    assert summary["unscored"] == {"the judge is asleep": 2}
    assert summary["metrics"]["er"] == 1.0


# Bad lines

FULL = {"id": ID.format(0), "game": "toy", "split": "test", "fields": {"word": "red", "coin": 0.1}}
BAD = {
    "cut off": ('{"item": "toy-2-test-0-0", "repl', "cut off"),
    "cut in a text": ('{"item": "toy-2-test', "cut off"),
    "no JSON": ("hello", "not JSON"),
    "two objects": ('{"item": "a", "replies": []} {}', "not JSON"),
    "a list": ("[1, 2]", "a JSON list, not an object"),
    "a number": ("3", "a JSON number"),
    "null": ("null", "a JSON null"),
    "no replies": ('{"item": "toy-2-test-0-0", "reply": "x"}', "no 'replies', only 'item', 'reply'"),
    "no item": ('{"replies": []}', "no 'item'"),
    "a bare reply": ('{"item": "toy-2-test-0-0", "replies": "x"}', "list of texts"),
    "a reply of null": ('{"item": "toy-2-test-0-0", "replies": [null]}', "list of texts"),
    "item of a number": ('{"item": 3, "replies": []}', "an item or its id, got 3"),
    "no id": ('{"item": "banana", "replies": []}', "ids look like 'toy-2-test-0-7'"),
    "id of a split": ('{"item": "toy-2-dev-0-0", "replies": []}', "ids look like"),
    "another game": ('{"item": "liar-2-test-0-0", "replies": []}', "belongs to the game 'liar'"),
    "another version": ('{"item": "toy-1-test-0-0", "replies": []}', "version 1 of the game, but this is version 2"),
    "a huge index": ('{"item": "toy-2-test-0-' + "9" * 5000 + '", "replies": []}', "no item id"),
    "another game's item": (
        json.dumps({"item": {**FULL, "game": "liar"}, "replies": []}),
        "belongs to the game 'liar'",
    ),
    "an item without fields": (json.dumps({"item": {"id": "x"}, "replies": []}), "'game' to be a text"),
    "fields of a list": (json.dumps({"item": {**FULL, "fields": []}, "replies": []}), "'fields' to be an object"),
    "alien fields": (json.dumps({"item": {**FULL, "fields": {"a": 1}}, "replies": ["x"]}), "not those of the game"),
    "deep nesting": ('{"item": ' + "[" * 100_000, "nested too deeply"),
    "many digits": ('{"item": ' + "9" * 5000 + "}", "digits"),
    "not a number": ('{"item": NaN, "replies": []}', "NaN is not JSON"),
    "raw NUL": ('{"item": "toy\x00", "replies": []}', "NUL byte (column 14)"),
    "latin-1": ('{"item": "toy-2-test-0-0", "replies": ["é"]}'.encode("latin-1"), "not UTF-8 (0xe9)"),
    "UTF-16": ('{"item": "x"}'.encode("utf-16"), "UTF-16"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_named_and_the_lines_before_it_are_kept(name: str, tmp_path: Path) -> None:
    bad, part = BAD[name]
    file = tmp_path / "replies.jsonl"
    text = bad if isinstance(bad, bytes) else bad.encode()
    file.write_bytes(line(0, "pay me").encode() + b"\n" + text + b"\n" + line(1, "pay me").encode())
    stopped = score("--replies", str(file), code=2)
    assert f"error: {file}:3: " in stopped.stderr
    assert part in stopped.stderr, stopped.stderr
    assert len(stopped.stderr) < 700
    assert [r["line"] for r in rows(stopped.stdout)] == [1]
    passed = score("--replies", str(file), "--keep-going", text=text)
    assert [r["line"] for r in rows(passed.stdout)] == [1, 4]


def test_a_line_without_end_is_passed_over_without_being_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "MAX_LINE", 100)
    file = tmp_path / "replies.jsonl"
    long = json.dumps({"item": ID.format(0), "replies": ["x" * 1000]})
    file.write_text(long + "\n" + line(1, "pay me") + long)
    assert f"{file}:1: the line is longer than" in score("--replies", str(file), code=2).stderr
    assert [r["line"] for r in rows(score("--replies", str(file), "--keep-going").stdout)] == [2]


def test_odd_but_good_files() -> None:
    assert rows(score("--replies", "-", text=b"\xef\xbb\xbf" + line(0, "x").encode()).stdout)[0]["line"] == 1
    assert rows(score("--replies", "-", text=line(0, "x").replace("\n", "\r\n")).stdout)[0]["reward"] == 0.0
    megabyte = score("--replies", "-", text=line(0, "x" * 10**6, "\x00\ud800"))
    assert rows(megabyte.stdout)[0]["facts"] == {"turns": 2}


def test_nothing_to_score_is_not_a_clean_bill(tmp_path: Path) -> None:
    assert "No line was scored" in score("--replies", "-", text="\n\n", code=3).stderr
    assert "5 bad lines" in score("--replies", "-", "--keep-going", text="x\n" * 5, code=3).stderr
    assert "is not a file" in score("--replies", str(tmp_path), code=2).stderr
    assert "--replies" in CliRunner().invoke(app, ["score", "toy"]).stderr


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=80), st.text(max_size=60).map(lambda t: json.dumps({"item": t, "replies": [t]}).encode())
    )
)
def test_no_line_gives_a_traceback(data: bytes) -> None:
    result = score("--replies", "-", text=data, code=3 if not data.strip() else 2)
    assert result.stderr.startswith("error: ")


# --out and resuming


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(scoring, "BATCH_LINES", 4)
    path = tmp_path / "replies.jsonl"
    path.write_text("".join(line(k, "pay me" if k % 3 else "no") for k in range(10)))
    return path


class Interrupts(Toy):
    """Ctrl-C in the middle of the batch that holds item 6."""

    name = "toy"

    def score_many(self, episodes: Any) -> Any:
        if any(item.id == ID.format(6) for item, _ in episodes):
            raise KeyboardInterrupt
        return super().score_many(episodes)


def test_an_interrupted_call_goes_on_where_it_stopped(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = file.with_name("scores.jsonl")
    whole = score("--replies", str(file)).stdout
    with monkeypatch.context() as patch:
        patch.setattr(registry, "BUILTIN", {"toy": f"{__name__}:Interrupts"})
        stopped = score("--replies", str(file), "--out", str(out), code=130)
    assert "The same command goes on from there" in stopped.stderr
    assert out.read_text() == "".join(x + "\n" for x in whole.splitlines()[:4])
    again = score("--replies", str(file), "--out", str(out))
    assert out.read_text() == whole
    assert again.stdout == ""
    assert "10 replies scored, 4 of them by an earlier call" in again.stderr
    once = score("--replies", str(file)).stderr
    assert again.stderr.splitlines()[1:] == once.splitlines()[1:], "the summary is that of all lines"


def test_a_torn_last_line_is_scored_again(file: Path) -> None:
    out = file.with_name("scores.jsonl")
    whole = score("--replies", str(file)).stdout
    for cut in (1, 50, len(whole) // 2, len(whole) - 1):
        out.write_text(whole[:cut])
        score("--replies", str(file), "--out", str(out))
        assert out.read_text() == whole


def test_bad_lines_are_tried_again_once_they_are_mended(file: Path) -> None:
    out = file.with_name("scores.jsonl")
    good = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*good[:5], "oops\n", *good[6:]]))
    score("--replies", str(file), "--out", str(out), "--keep-going")
    file.write_text("".join(good))
    score("--replies", str(file), "--out", str(out))
    assert sorted(r["line"] for r in rows(out.read_text())) == list(range(1, 11))


@pytest.mark.parametrize(
    "changed", [["--patches", "secure"], ["--seed", "1"], ["--param", "told=1"], ["--patches", "coin"]]
)
def test_scores_of_other_settings_are_not_mixed_in(file: Path, changed: list[str]) -> None:
    out = file.with_name("scores.jsonl")
    score("--replies", str(file), "--out", str(out))
    before = out.read_text()
    assert (
        "other settings (line 1 differs)" in score("--replies", str(file), "--out", str(out), *changed, code=2).stderr
    )
    assert out.read_text() == before


def test_other_replies_and_other_files_are_refused(file: Path) -> None:
    out = file.with_name("scores.jsonl")
    score("--replies", str(file), "--out", str(out))
    text = file.read_text()
    file.write_text(text.replace("no", "oh", 1))
    assert "other replies" in score("--replies", str(file), "--out", str(out), code=2).stderr
    file.write_text("".join(text.splitlines(keepends=True)[:3]))
    assert "7 scored lines" in score("--replies", str(file), "--out", str(out), code=2).stderr
    notes = file.with_name("notes.txt")
    notes.write_text("my notes\n")
    assert "is not a score written here" in score("--replies", str(file), "--out", str(notes), code=2).stderr
    assert notes.read_text() == "my notes\n"
    assert "is not a file" in score("--replies", str(file), "--out", str(file.parent), code=2).stderr


def test_memory_does_not_grow_with_the_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    real = scoring._write

    def spy(job: Any, batch: Any) -> None:
        held.append(len(batch))
        real(job, batch)

    monkeypatch.setattr(scoring, "_write", spy)
    monkeypatch.setattr(scoring, "BATCH_BYTES", 3000)
    made = [line(k, "x" * 1000) for k in range(9)]
    assert len(rows(score("--replies", "-", text="".join(made)).stdout)) == 9
    assert max(held) == 3


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as source, open(writing, "wb") as sink:
        sink.write(line(0, "x").encode() * 3)
        sink.close()
        found: Iterator[replies.Raw] = replies.raw_lines(source)
        assert [r.number for r in found] == [1, 2, 3]
