"""`eval`: a policy is measured on a game. `studies` does the work; this asks for it and shows it.

A served model is asked many prompts at once; its replies are kept as they come, so that a stop loses none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamekeeper.cli import console, judging, options, served
from gamekeeper.cli.progress import Meter
from gamekeeper.cli.unfinished import Unfinished
from gamekeeper.errors import CouldNotLook, UsageError

if TYPE_CHECKING:
    from gamekeeper.config import EvalConfig
    from gamekeeper.games.base import BaseGame

_ALL = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Measuring:
    """How much is played, and where the episodes go."""

    n: Annotated[int | None, typer.Option("--n", "-n", metavar="N", help="How many items.", show_default=False)] = None
    samples: Annotated[int | None, typer.Option(metavar="N", help="Replies to each item.", show_default=False)] = None
    seed: options.Seed = 0
    temperature: Annotated[float | None, typer.Option(metavar="T", help="0 is greedy.", show_default=False)] = None
    settings: options.Set = None
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write every episode as JSON lines; rerun to resume.", show_default=False),
    ] = None
    as_json: options.Json = False

    def config(self, played: options.Played) -> EvalConfig:
        from gamekeeper.config import EvalConfig, from_mapping

        items = _items(self.n, played.limit, played.data)
        if items == _ALL and any(s.startswith("eval.items=") for s in self.settings or ()):
            items = None
        changes = {"eval.items": items, "eval.samples": self.samples, "eval.temperature": self.temperature}
        tree = options.settings_tree(self.settings, {**changes, "eval.split": played.split})
        return from_mapping(EvalConfig, tree["eval"], "eval")

    @property
    def again(self) -> str:
        if self.out is None:
            return "Use --out FILE to be able to go on."
        return f"The same command goes on with --out {self.out}."


@options.folded(served.Served, Measuring, options.Played, judging.Tolerant)
def evaluate(
    name: options.Name, server: served.Served, how: Measuring, played: options.Played, rated: judging.Tolerant
) -> None:
    """Measure a policy on a game, without training it.

    \b
    Examples:
      gamekeeper eval tamper --model pocket
      gamekeeper eval tamper --model runs/tamper-flawed-seed0/checkpoints/step-60 --n 64 --json
      gamekeeper eval summary --model script:exploit --patches secure
      gamekeeper eval tamper --model script:honest --data test.parquet --limit 20
      gamekeeper eval tamper --model http://localhost:8000/v1 --out rows.jsonl
    """
    from gamekeeper.endpoint import shown

    limit = rated.limit(server.is_one)
    game = played.open(name)
    config = how.config(played)
    if game.level == "paper":
        config = _that_are_there(game, config)
        rated.check(game)
    what: dict[str, Any] = {"game": name, "patches": sorted(game.patches), "model": shown(server.model)}
    what |= {"split": played.split, "seed": how.seed, **server.described()}
    with console.interruptible(how.again), rated.seated(game), _parts(game, how.out, what, config) as (done, keep):
        from gamekeeper.studies import runner

        def part(made: Sequence[Any]) -> None:
            keep(made)
            seen.extend(e.score for e in made)
            judging.stop_if_blind(judging.reasons(seen), len(seen), limit, how.again)

        seen = [e.score for e in done]
        with Meter(name) as meter, server.policy(how.out, game, config, meter) as policy:
            found = runner.evaluate(game, policy, config, seed=how.seed, progress=meter, done=done, keep=part)
        judging.stop_if_blind(judging.reasons(seen), len(seen), limit, how.again, at_end=True)
    _show(what, config, found, how.as_json)


def _items(n: int | None, limit: int | None, data: Path | None) -> int | None:
    """How many items: with a data file all of it, unless one of the two options says less."""
    if n is not None and limit is not None:
        raise UsageError("--n and --limit say the same here. Keep one of the two.")
    return n if n is not None else limit if limit is not None else _ALL if data is not None else None


def _that_are_there(game: BaseGame, config: EvalConfig) -> EvalConfig:
    """The config for as many items as the data file has; raises CouldNotLook if that is none."""
    from gamekeeper.games.paper_report import describe

    found = describe(game, config.split, config.items)
    console.say(found.in_short())
    if not found.items:
        raise CouldNotLook(f"{found.file} has no item to play. Give another file.")
    return replace(config, items=found.items)


@contextmanager
def _parts(
    game: BaseGame, out: Path | None, what: Mapping[str, Any], config: Any
) -> Iterator[tuple[Sequence[Any], Callable[[Sequence[Any]], None]]]:
    """What is done already, and where to keep what is done next; gone when all is."""
    if out is None:
        yield (), lambda made: None
        return
    from gamekeeper.types import to_plain

    judge = game.judge.name if game.judge else None
    data = options.digest_of(game.data_file(config.split)) if game.data else None
    unfinished = Unfinished(out, [what, game.version, to_plain(game.params), data, judge, to_plain(config)])
    if unfinished.done:
        console.say(f"going on after {len(unfinished.done)} episodes of an earlier call")
    yield unfinished.done, unfinished.keep
    unfinished.finish()


def _show(what: Mapping[str, Any], config: Any, found: Any, as_json: bool) -> None:
    sizes = {"items": len({e.group for e in found.rows}), "samples": config.samples, "temperature": config.temperature}
    if as_json:
        console.print_json({**what, **sizes, "metrics": dict(found.metrics), "intervals": dict(found.intervals)})
    else:
        console.print_table(("metric", ">value", "interval"), console.metric_rows(found.metrics, found.intervals))
