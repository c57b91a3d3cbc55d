"""A finished run as Inspect logs: one `.eval` file for each evaluation in it, for Inspect's viewer and analysis tools.

Nothing is computed anew: episodes, scores and metrics are those of the run's directory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inspect_ai.log import (
    EvalConfig,
    EvalDataset,
    EvalLog,
    EvalMetric,
    EvalPlan,
    EvalPlanStep,
    EvalResults,
    EvalSample,
    EvalScore,
    EvalSpec,
    EvalStats,
    write_eval_log,
)
from inspect_ai.model import ChatMessageAssistant, ModelOutput

from gamekeeper.adapters.inspect.tasks import messages, to_inspect, utf8
from gamekeeper.errors import RunError
from gamekeeper.studies.record import Record, Rollout, Run, load_run


def write_logs(path: str | Path, folder: Path, train: bool = False) -> list[Path]:
    """Writes `GAME-ARM-PHASE-stepN.eval` for each evaluation of a run, with `train` for each kept batch too.

    Raises RunError if there is no run or it holds no episodes. Returns the files.
    """
    run = load_run(path)
    batches: dict[tuple[int, str], list[Rollout]] = {}
    for episode in run.rollouts():
        if train or episode.phase == "eval":
            batches.setdefault((episode.step, episode.phase), []).append(episode)
    if not batches:
        raise RunError(f"{run.path} holds no evaluation yet. Go on with the run, or export its training batches.")
    folder.mkdir(parents=True, exist_ok=True)
    records = {(r.step, r.phase): r for r in run.metrics}
    game = run.info["game"]
    written = []
    for (step, phase), episodes in sorted(batches.items()):
        record = records.get((step, phase)) or Record(step, phase, {})
        file = folder / f"{game['name']}-{_plain(game['arm'])}-{phase}-step{step}.eval"
        write_eval_log(log_of(run, record, episodes), str(file))
        written.append(file)
    return written


def _plain(arm: str) -> str:
    return "".join(c if c.isalnum() or c in "-.=" else "_" for c in arm)


def log_of(run: Run, record: Record, episodes: Iterable[Rollout]) -> EvalLog:
    """One evaluation (or training batch) as a log."""
    game, config = run.info["game"], run.info["config"]
    samples = _samples(game["name"], str(config["model"]), episodes)
    unscored = sum(s.scores is not None and s.scores[game["name"]].reason is not None for s in samples)
    return EvalLog(
        status="success",
        eval=_spec(run, record, len({s.id for s in samples})),
        plan=EvalPlan(name=record.phase, steps=[EvalPlanStep(solver="gamekeeper/episodes", params={})]),
        results=EvalResults(
            total_samples=len(samples),
            completed_samples=len(samples),
            scores=[
                EvalScore(
                    name=game["name"],
                    scorer=f"gamekeeper/{game['name']}",
                    scored_samples=len(samples) - unscored,
                    unscored_samples=unscored,
                    params={"patches": list(config["game"]["patches"])},
                    metrics=_metrics(record),
                )
            ],
        ),
        stats=EvalStats(started_at=_created(run), completed_at=_created(run)),
        samples=samples,
    )


def _spec(run: Run, record: Record, items: int) -> EvalSpec:
    game, config = run.info["game"], run.info["config"]
    identity = f"{run.path.name}-{record.phase}-{record.step}"
    about = {key: run.info.get(key) for key in ("config", "commit", "versions", "seed", "device")}
    return EvalSpec(
        created=_created(run),
        eval_id=identity,
        run_id=run.path.name,
        task_id=identity,
        task=f"gamekeeper/{game['name']}",
        task_args={"patches": ",".join(config["game"]["patches"]) or "flawed"},
        dataset=EvalDataset(name=f"{game['name']} {config['eval']['split']}", samples=items),
        model=f"gamekeeper/{config['model']}",
        config=EvalConfig(),
        packages=dict(run.info.get("versions", {})),
        tags=[game["arm"], record.phase, f"step {record.step}"],
        metadata={"run": str(run.path), "step": record.step, "phase": record.phase, **about},
    )


def _created(run: Run) -> str:
    return str(run.info.get("created") or datetime.now(UTC).isoformat(timespec="seconds"))


_FIRST = ("er", "itp", "reward", "truth")


def _metrics(record: Record) -> dict[str, EvalMetric]:
    """The first is the one that the viewer's list of logs shows."""
    order = [*(name for name in _FIRST if name in record.metrics), *(n for n in record.metrics if n not in _FIRST)]
    found = {}
    for name, value in ((name, record.metrics[name]) for name in order):
        interval = record.intervals.get(name)
        metadata = None if interval is None else {"interval": list(interval)}
        found[name] = EvalMetric(name=name, value=value, metadata=metadata)
    return found


def _samples(game: str, model: str, episodes: Iterable[Rollout]) -> list[EvalSample]:
    """One for each episode; the n-th of an item is its n-th epoch."""
    seen: Counter[str] = Counter()
    made = []
    for episode in episodes:
        seen[episode.item_id] += 1
        made.append(_sample(game, model, episode, seen[episode.item_id]))
    return made


def _sample(game: str, model: str, episode: Rollout, epoch: int) -> EvalSample:
    said: list[Any] = []
    replies = [utf8(reply) for reply in episode.replies]
    for prompt, reply in zip(episode.prompts, replies, strict=False):
        said += [*messages(prompt), ChatMessageAssistant(content=reply, source="generate")]
    return EvalSample(
        id=episode.item_id,
        epoch=epoch,
        input=messages(episode.prompts[0]) if episode.prompts else "",
        target="",
        messages=said,
        output=ModelOutput.from_content(model, replies[-1]) if replies else ModelOutput(),
        scores={game: to_inspect(episode.score, replies)},
        metadata={"group": episode.group, "replies": replies},
    )
