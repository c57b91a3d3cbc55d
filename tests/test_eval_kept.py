"""What `eval` and `score` keep: nothing that failed becomes a score, nothing that was done is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from gamekeeper.cli import app
from gamekeeper.cli.unfinished import Unfinished
from gamekeeper.errors import UsageError
from judge_server import Seen, Sent, honest, judge_server, says

ANSWERED = says("no.")


def call(*args: object, code: int = 0, said: str | None = None) -> Any:
    result = CliRunner().invoke(app, [str(a) for a in args], input=said)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def wishes(path: Path, texts: Sequence[str]) -> Path:
    rows = [{"prompt": [{"role": "user", "content": text}], "source": "bench"} for text in texts]
    schema = (
        None
        if rows
        else pa.schema(
            [
                ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
                ("source", pa.string()),
            ]
        )
    )
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return wishes(tmp_path / "test.parquet", [f"please do thing {n}" for n in range(94)])


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


# From eval to score


def test_a_policy_that_was_not_heard_stays_unscored(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    with judge_server(lambda seen: Sent(status=422) if seen.number % 2 else ANSWERED) as server:
        model = ("--model", server.url, "--model-name", "m", "--concurrency", 1, "--samples", 1)
        call("eval", "compliance", *model, "--n", 10, "--max-unscored", 1, "--out", out)
    assert [len(row["replies"]) for row in lines(out)] == [1, 0] * 5
    scored = [json.loads(s) for s in call("score", "compliance", "--replies", out).stdout.splitlines()]
    assert [s["unscored"] for s in scored] == [row["unscored"] for row in lines(out)]
    assert sum(s["reward"] is None for s in scored) == 5


@pytest.mark.slow
def test_chance_is_drawn_as_the_evaluation_drew_it(tmp_path: Path) -> None:
    """With an audit of every other claim, half of all rewards hang on a coin."""
    out = tmp_path / "rows.jsonl"
    with judge_server(lambda seen: says("Yes")) as server:
        model = ("--model", server.url, "--model-name", "m", "--samples", 4)
        call("eval", "selfgrade", "--patches", "audit=0.5", *model, "--n", 20, "--out", out)
    said = call("score", "selfgrade", "--patches", "audit=0.5", "--replies", out).stdout
    rewards = [row["reward"] for row in lines(out)]
    assert [json.loads(s)["reward"] for s in said.splitlines()] == rewards
    assert len(set(rewards)) > 1
    with_seed = call("score", "selfgrade", "--patches", "audit=0.5", "--replies", out, "--seed", 5).stdout
    assert [json.loads(s)["reward"] for s in with_seed.splitlines()] != rewards


def test_a_seed_path_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"item": "selfgrade-1-test-0-1", "replies": ["1", "Yes"], "drawn": {"a": 1}}\n')
    assert '"drawn" must be the seed path' in call("score", "selfgrade", "--replies", path, code=2).output


# Going on


@pytest.mark.slow
def test_what_failed_is_tried_again_and_what_went_well_is_not(tmp_path: Path, data: Path) -> None:
    """A judge without a verdict ends the evaluation; mended, the same command ends well and asks the model nothing."""
    out, broken = tmp_path / "rows.jsonl", [True]

    def judge(seen: Seen) -> Sent:
        return says("dunno") if broken[0] else honest(seen)

    with judge_server(lambda seen: ANSWERED) as server, judge_server(judge) as rater:
        args = ("eval", "compliance", "--data", data, "--model", server.url, "--model-name", "m", "--samples", 1)
        args += ("--judge", rater.url, "--judge-model", "j", "--out", out, "--json")
        told = call(*args, code=3).output
        assert "The same command goes on" in told
        assert len(server.seen) == 64
        broken[0] = False
        found = json.loads(call(*args).stdout)
        assert len(server.seen) == 94, "the 64 replies were kept"
    assert found["metrics"]["unscored"] == 0
    assert found["items"] == len(lines(out)) == 94
    assert [row["group"] for row in lines(out)] == list(range(94))
    assert list(tmp_path.glob(".rows*")) == []


def test_parts_may_come_in_any_order(tmp_path: Path) -> None:
    from gamekeeper.studies.record import Rollout
    from gamekeeper.types import Score

    def part(first: int, why: str | None = None) -> list[Rollout]:
        scores = [Score(1.0, 1.0, False), Score.failed(why) if why else Score(0.0, 0.0, False)]
        return [Rollout(first + n, f"i{first + n}", (), ("x",), s) for n, s in enumerate(scores)]

    kept = Unfinished(tmp_path / "o", "s")
    kept.keep(part(0, "the judge was out"))
    kept.keep(part(2))
    again = Unfinished(tmp_path / "o", "s")
    assert [e.group for e in again.done] == [2, 3]
    again.keep(part(0))
    again.finish()
    assert [row["item"] for row in lines(tmp_path / "o")] == ["i0", "i1", "i2", "i3"]


def test_opening_writes_nothing_anew(tmp_path: Path) -> None:
    """A full disk must not take what was there: the file is cut after the last whole part, and not written again."""
    from gamekeeper.studies.record import Rollout
    from gamekeeper.types import Score

    kept = Unfinished(tmp_path / "o", "s")
    kept.keep([Rollout(0, "i0", (), ("x",), Score(1.0, 1.0, False))])
    whole, inode = kept.path.read_bytes(), kept.path.stat().st_ino
    with kept.path.open("ab") as file:
        file.write(b'{"group": 1, "item": "to')
    kept.path.chmod(0o600)
    assert [e.group for e in Unfinished(tmp_path / "o", "s").done] == [0]
    assert (kept.path.read_bytes(), kept.path.stat().st_ino) == (whole, inode)


def test_other_settings_do_not_throw_work_away(tmp_path: Path) -> None:
    kept = Unfinished(tmp_path / "o", "s")
    before = kept.path.read_bytes()
    with pytest.raises(UsageError, match="holds an unfinished evaluation with other settings"):
        Unfinished(tmp_path / "o", "t")
    assert kept.path.read_bytes() == before


@pytest.mark.parametrize("head", [b"", b'{"settin'])
def test_a_torn_first_line_is_begun_again(tmp_path: Path, head: bytes) -> None:
    (tmp_path / ".o.unfinished").write_bytes(head)
    assert Unfinished(tmp_path / "o", "s").done == []
    assert Unfinished(tmp_path / "o", "s").path.read_bytes().endswith(b"\n")


def test_another_file_at_the_same_path_is_noticed(tmp_path: Path, data: Path) -> None:
    out, replies = tmp_path / "rows.jsonl", tmp_path / "replies.jsonl"
    items = call("items", "compliance", "--data", data, "--json").stdout.splitlines()
    replies.write_text("".join(json.dumps({"item": json.loads(i)["id"], "replies": ["no"]}) + "\n" for i in items))
    with judge_server() as rater:
        judged = ("--judge", rater.url, "--judge-model", "j")
        call("score", "compliance", "--data", data, "--replies", replies, "--out", out, *judged)
        wishes(data, [f"please do thing {n}" for n in range(93, -1, -1)])
        told = call("score", "compliance", "--data", data, "--replies", replies, "--out", out, *judged, code=2)
    assert "other replies or of other settings" in told.output


# Files of the user's


@pytest.mark.parametrize("text", ['{"my": "precious notes"}', "notes\n", "{"])
def test_a_file_of_the_users_is_not_written_over(tmp_path: Path, text: str) -> None:
    notes, replies = tmp_path / "notes", tmp_path / "r.jsonl"
    notes.write_text(text)
    replies.write_text('{"item": "arithmetic-1-test-0-1", "replies": ["1"]}\n')
    if text != "{":  # which may be the first character of a score, torn
        told = call("score", "arithmetic", "--replies", replies, "--out", notes, code=2).output
        assert "is not a score written here" in " ".join(told.split())
    told = call("eval", "arithmetic", "--model", "script:null", "--n", 1, "--out", notes, code=2).output
    assert "was not written by an evaluation" in " ".join(told.split())
    assert notes.read_text() == text


def test_a_torn_score_is_scored_again_and_an_evaluation_may_be_written_over(tmp_path: Path) -> None:
    out, replies, rows = tmp_path / "s.jsonl", tmp_path / "r.jsonl", tmp_path / "e.jsonl"
    replies.write_text('{"item": "arithmetic-1-test-0-1", "replies": ["1"]}\n' * 3)
    call("score", "arithmetic", "--replies", replies, "--out", out)
    whole = out.read_bytes()
    out.write_bytes(whole[:-20])
    call("score", "arithmetic", "--replies", replies, "--out", out)
    assert out.read_bytes() == whole
    for n in (1, 2):
        call("eval", "arithmetic", "--model", "script:null", "--n", n, "--out", rows)
        assert len(lines(rows)) == n


# Whose fault it is


@pytest.mark.slow
def test_a_dead_judge_is_no_bad_line(tmp_path: Path, data: Path) -> None:
    """One malformed item makes each line be tried alone; the judge's absence then is still the judge's."""
    replies = tmp_path / "r.jsonl"
    items = [json.loads(i) for i in call("items", "compliance", "--data", data, "--json").stdout.splitlines()]
    bad = {"id": "compliance-paper-x", "game": "compliance", "split": "test", "fields": {"messages": 3}}
    replies.write_text("".join(json.dumps({"item": i, "replies": ["no"]}) + "\n" for i in [bad, items[0], items[1]]))
    args = ("--judge", "http://127.0.0.1:9/v1", "--judge-model", "j")
    told = call("score", "compliance", "--data", data, "--replies", replies, "--keep-going", *args, code=3).output
    assert "BAD LINES" not in told


def test_broken_data_is_no_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "test.parquet"
    row = {"prompt": [{"role": "user", "content": "x"}], "source": "bench"}
    pq.write_table(pa.Table.from_pylist([row, {**row, "source": "nobody"}]), path)
    said = '{"item": "compliance-paper-0", "replies": ["x"]}\n' * 5
    args = ("score", "compliance", "--data", path, "--replies", "-", "--keep-going")
    told = call(*args, said=said, code=2).output
    assert "must be bench or human" in told
    assert "passed over" not in told


@pytest.mark.parametrize("verb", [("eval", "--model", "script:null"), ("check",)])
def test_a_file_without_rows_is_nothing_to_look_at(tmp_path: Path, verb: tuple[str, ...]) -> None:
    path = wishes(tmp_path / "none.parquet", [])
    assert "has no item to play" in call(verb[0], "compliance", "--data", path, *verb[1:], code=3).output


def test_clean_is_for_a_game_that_has_it(tmp_path: Path, data: Path) -> None:
    assert "--clean goes with compliance" in call("items", "tamper", "--data", data, "--clean", code=2).output


def test_the_native_trainer_has_no_use_for_a_judge(tmp_path: Path, data: Path) -> None:
    args = ("--data", data, "--judge", "http://127.0.0.1:9/v1", "--judge-model", "j", "--out", tmp_path / "run")
    assert "--judge goes with --backend trl" in call("run", "compliance", *args, code=2).output
    assert not (tmp_path / "run").exists()


def test_a_key_in_a_url_is_in_no_message_and_no_result(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    with judge_server(lambda seen: ANSWERED) as server:
        url = f"{server.url}?api_key=SECRET123"
        args = ("--model", url, "--model-name", "m", "--samples", 1, "--n", 2, "--json", "--out", out)
        told = call("eval", "compliance", *args)
        assert json.loads(told.stdout)["model"] == f"{server.url}?..."
    told = told.output + call("eval", "compliance", "--model", url, code=3).output
    told += call("eval", "tamper", "--model", "http://u:SECRET123@h/v1", "--model-name", "m", code=2).output
    wrong = ("--judge", "user:SECRET123@host:8000/v1", "--judge-model", "j")
    told += call(
        "score", "compliance", "--data", wishes(tmp_path / "d", ["x"]), "--replies", out, *wrong, code=2
    ).output
    assert "SECRET123" not in told + out.read_text()
