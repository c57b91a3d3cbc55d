"""Samples of the real Inspect whose model was not heard: withheld, too long, stopped by a limit. None of them is an
empty reply, and none of them ends the evaluation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

inspect_ai = pytest.importorskip("inspect_ai")

import anyio
from inspect_ai.log import EvalLog, list_eval_logs, read_eval_log
from inspect_ai.model import Model, ModelOutput, ModelUsage, get_model

from gamekeeper.adapters.inspect import tasks
from gamekeeper.registry import load_game

USED = ModelUsage(input_tokens=5, output_tokens=4, total_tokens=9)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INSPECT_LOG_LEVEL", "error")
    monkeypatch.setenv("INSPECT_DISPLAY", "none")
    monkeypatch.chdir(tmp_path)


def said(text: str, stop: Any = "stop", usage: ModelUsage | None = USED) -> ModelOutput:
    return ModelOutput.from_content("mock", text, stop).model_copy(update={"usage": usage})


def run(task: str, answer: Any, folder: Path, **more: Any) -> EvalLog:
    """Two samples. answer: a model, or what one says to a prompt's last message."""
    model = answer
    if not isinstance(answer, Model):
        model = get_model("mockllm/model", custom_outputs=lambda messages, *_: answer(messages[-1].text))
    given = {"log_dir": str(folder / "logs"), "display": "none", **more}
    (log,) = inspect_ai.eval(f"gamekeeper/{task}", model=model, task_args={"n": 2}, **given)
    assert log.status == "success", log.error
    (info,) = list_eval_logs(str(folder / "logs"))
    return read_eval_log(info)


def counts(log: EvalLog) -> tuple[int, int]:
    assert log.results is not None
    (score,) = log.results.scores
    return score.scored_samples, score.unscored_samples


def reasons(log: EvalLog, game: str) -> list[str | None]:
    return [s.scores[game].explanation for s in log.samples or () if s.scores[game].reason is not None]


def test_a_withheld_reply_is_unscored(tmp_path: Path) -> None:
    first = (load_game("arithmetic").prompt(load_game("arithmetic").items("test", 2, 0)[0]) or ())[-1].content
    log = run("arithmetic", lambda asked: said("", "content_filter") if asked == first else said("3"), tmp_path)
    assert counts(log) == (1, 1)
    assert reasons(log, "arithmetic") == ["the model's server withheld the reply (content filter)"]


def test_a_withheld_second_turn_is_unscored(tmp_path: Path) -> None:
    def answer(asked: str) -> ModelOutput:
        return said("", "content_filter") if r"\boxed{7}" in asked else said(r"\boxed{7}")

    log = run("selfgrade", answer, tmp_path)
    assert counts(log) == (0, 2)
    assert all("content filter" in str(why) for why in reasons(log, "selfgrade"))
    assert all(s.store["replies"] == [r"\boxed{7}"] for s in log.samples or ())


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        (said("This model's maximum context length is 8 tokens.", "model_length", None), "does not fit"),
        (said("", "model_length", None), "does not fit"),
        (said("I cannot", "content_filter"), "content filter"),
        (ModelOutput(), "no choices"),
        (ModelOutput(error="the server burnt down"), "burnt down"),
    ],
)
def test_what_is_no_reply_says_so(output: ModelOutput, complaint: str) -> None:
    assert complaint in str(tasks.unheard(output))


@pytest.mark.parametrize("output", [said(""), said("half a", "model_length"), said("half a", "max_tokens")])
def test_a_reply_that_is_empty_or_cut_off_is_one(output: ModelOutput) -> None:
    assert tasks.unheard(output) is None


@pytest.mark.parametrize("kind", ["token", "message"])
def test_a_limit_leaves_samples_unscored_with_its_reason(kind: str, tmp_path: Path) -> None:
    log = run("arithmetic", lambda _: said("3"), tmp_path, **{f"{kind}_limit": 1})
    assert counts(log) == (0, 2)
    for reason in reasons(log, "arithmetic"):
        assert re.search(f"a limit of the evaluation ended the episode: .*{kind} limit", str(reason), re.IGNORECASE)
    assert [s.limit.type for s in log.samples or () if s.limit] == [kind, kind]


def test_a_sample_whose_time_is_up_is_unscored(tmp_path: Path) -> None:
    model = get_model("mockllm/model", memoize=False)

    async def never(*_: Any, **__: Any) -> ModelOutput:
        await anyio.sleep(60)
        return said("3")

    model.api.generate = never
    log = run("arithmetic", model, tmp_path, time_limit=1)
    assert counts(log) == (0, 2)
    assert reasons(log, "arithmetic") == ["the sample was ended after 0 replies"] * 2
