"""Distillation: a student is fine-tuned by TRL's SFTTrainer on a teacher's rollouts, then measured on the game.

The teacher is a run directory, whoever trained it. Its latest training episodes are taken first. Each turn of an
episode is one example: the prompt that the teacher saw, and its reply, which alone is learnt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gamekeeper.adapters.trl.backend import TRAINER_FILES, newest_checkpoint, steps_of, train
from gamekeeper.adapters.trl.settings import CHAT, TrlRunConfig, build, lora_settings, processes, sft_settings
from gamekeeper.adapters.trl.trainer import model_path, need_trl, open_tokenizer, prompt_room, starting
from gamekeeper.errors import RunError, UsageError
from gamekeeper.games.base import BaseGame
from gamekeeper.rewards.verdicts import Judge
from gamekeeper.seeds import rng
from gamekeeper.studies.record import Listener, load_run
from gamekeeper.studies.rollouts import Rollout
from gamekeeper.types import to_plain


def distil(
    config: TrlRunConfig,
    out: Path,
    *,
    resume: bool = False,
    progress: Any = None,
    judge: Judge | None = None,
    listeners: Sequence[Listener] = (),
) -> Path:
    """Fine-tune `config.model` on the rollouts of `config.teacher` and leave a run directory at `out`.

    The record's steps are updates; phase eval is the student on the game's test items, before and after.
    Raises what `backend.run` raises, and RunError if the teacher's run has no episodes of this game.
    """
    need_trl()
    from gamekeeper.adapters.trl.session import Session, attach, conducted, settled

    if config.teacher is None:
        raise UsageError("A distillation needs a teacher: the directory of a finished run.")
    teacher = Path(config.teacher)
    config, game = settled(config, out, resume)
    game.judge = judge
    tokenizer = open_tokenizer(config.model)
    prompt_room(config, game)
    examples = teacher_examples(teacher, game, config.trl.distil_rows, config.seed)
    session = Session(config, game, out, tokenizer, progress or (lambda _: None))
    attach(session, _trainer(config, examples, tokenizer, out / TRAINER_FILES), 1)
    newest = newest_checkpoint(out) if resume else None

    at = steps_of(newest, 1) if newest else 0
    about = {"distilled": {"teacher": str(teacher), "examples": len(examples)}}
    return conducted(session, at if resume else None, about, listeners, lambda: train(session, newest))


def teacher_examples(run: Path, game: BaseGame, most: int, seed: int) -> list[dict[str, Any]]:
    """At most `most` episodes of a run's training, the latest steps first, as TRL's prompts and completions.

    Raises RunError if the run is of another game, level or data file, or holds no training episodes.
    """
    record = load_run(run)
    _check_same(run, record.info, game)
    episodes = [e for e in record.rollouts() if e.phase == "train"]
    if not episodes:
        raise RunError(f"{run} holds no training episodes to learn from. Give a run that was trained.")
    latest = sorted(episodes, key=lambda e: -e.step)[:most]
    examples = [example for episode in latest for example in _examples(episode)]
    rng("distil", seed).shuffle(examples)
    return examples


def _check_same(run: Path, info: Mapping[str, Any], game: BaseGame) -> None:
    """The student is measured on what its teacher was trained on."""
    about = info.get("game") or {}
    taught, level = about.get("name"), about.get("level", "pocket")
    if taught != game.name:
        raise RunError(f"{run} is a run of the game {taught!r}, not {game.name!r}. Give a run of {game.name!r}.")
    if level != game.level:
        now = "Give it its --data." if level == "paper" else "Leave out --data, or give a run on that data."
        raise RunError(
            f"{run} is a run on items of {level} level, and this call plays those of {game.level} level. {now}"
        )
    data = ((info.get("config") or {}).get("game") or {}).get("data")
    if game.data is not None and data is not None and _train_file(Path(data)) != _train_file(game.data):
        raise RunError(f"{run} was trained on {data}, and this call plays {game.data}. Give --data {data}.")


def _train_file(data: Path) -> Path:
    return (data / "train.parquet" if data.is_dir() else data).resolve()


def _examples(episode: Rollout) -> list[dict[str, Any]]:
    return [
        {"prompt": to_plain(prompt), "completion": [{"role": "assistant", "content": reply}]}
        for prompt, reply in zip(episode.prompts, episode.replies, strict=True)
    ]


def _trainer(config: TrlRunConfig, examples: list[dict[str, Any]], tokenizer: Any, output: Path) -> Any:
    import datasets
    from trl import SFTConfig, SFTTrainer

    if told := config.trl.options.get(CHAT):
        examples = [{**example, CHAT: dict(told)} for example in examples]
    settings = sft_settings(config, len(examples), output, processes(config.trl).num_processes)
    with starting(config.model):
        return SFTTrainer(
            model=model_path(config.model),
            args=build(SFTConfig, settings, config.train.precision),
            train_dataset=datasets.Dataset.from_list(examples),
            processing_class=tokenizer,
            peft_config=lora_settings(config.trl),
        )
