"""`eval`: a policy is measured on a game. `studies` does the work; this asks for it and shows it.

A served model is asked many prompts at once; its replies are kept as they come, so that a stop loses none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamekeeper.cli import console, judging, options, served
from gamekeeper.cli.progress import Meter
from gamekeeper.cli.unfinished import Unfinished, row_of
from gamekeeper.errors import UsageError

if TYPE_CHECKING:
    from gamekeeper.games.base import BaseGame

_ALL = 2**31 - 1


def evaluate(
    name: options.Name,
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="pocket, the directory of a checkpoint, script:NAME (honest, exploit, null), or the http(s) URL of an "
            "OpenAI-compatible server. Its key: GAMEKEEPER_MODEL_KEY.",
        ),
    ],
    n: Annotated[int | None, typer.Option("--n", "-n", metavar="N", help="How many items.", show_default=False)] = None,
    samples: Annotated[int | None, typer.Option(metavar="N", help="Replies to each item.", show_default=False)] = None,
    seed: options.Seed = 0,
    split: options.Split = "test",
    patches: options.Patches = "flawed",
    data: options.Data = None,
    params: options.Params = None,
    limit: options.Limit = None,
    clean: options.Clean = False,
    judge: judging.Url = None,
    judge_model: judging.Model = None,
    judge_cache: judging.Cache = None,
    max_unscored: judging.MostUnscored = None,
    temperature: Annotated[float | None, typer.Option(metavar="T", help="0 is greedy.", show_default=False)] = None,
    model_name: served.Name = None,
    max_tokens: served.MaxTokens = None,
    concurrency: served.Concurrency = None,
    timeout: served.Timeout = None,
    body: served.Body = None,
    settings: options.Set = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write every episode as JSON lines; rerun to resume.", show_default=False),
    ] = None,
    as_json: options.Json = False,
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
    options.check_split(split)
    server = served.Served(model, model_name, max_tokens, concurrency, timeout, body)
    asked = judging.Asked(judge, judge_model, judge_cache, max_unscored, server.is_one)
    game = options.open_game(name, patches, data, params, clean)
    changes = {"eval.items": _items(n, limit, data), "eval.samples": samples, "eval.temperature": temperature}
    config = _config(settings, {**changes, "eval.split": split})
    if game.level == "paper":
        _say_what_is_there(game, config)
    what = {"game": name, "patches": sorted(game.patches), "model": model, "split": split, "seed": seed}
    what |= server.described()
    again = f"The same command goes on with --out {out}." if out else "Use --out FILE to be able to go on."
    with console.interruptible(again), asked.seated(game), _parts(game, out, what, config) as (done, keep):
        from gamekeeper.studies import runner

        def part(made: Sequence[Any]) -> None:
            keep(made)
            seen.extend(e.score for e in made)
            judging.stop_if_blind(judging.reasons(seen), len(seen), asked.limit, again)

        seen = [e.score for e in done]
        with Meter(name) as meter, server.policy(out, game, config, meter) as policy:
            found = runner.evaluate(game, policy, config, seed=seed, progress=meter, done=done, keep=part)
        judging.stop_if_blind(judging.reasons(seen), len(seen), asked.limit, again, at_end=True)
        if out is not None:
            _write_rows(out, found.rows)
    _show(what, config, found, as_json)


def _items(n: int | None, limit: int | None, data: Path | None) -> int | None:
    """How many items: with a data file all of it, unless one of the two options says less."""
    options.check_limit(limit, data)
    if n is not None and limit is not None:
        raise UsageError("--n and --limit say the same here. Keep one of the two.")
    return n if n is not None else limit if limit is not None else _ALL if data is not None else None


def _config(settings: list[str] | None, changes: dict[str, Any]) -> Any:
    from gamekeeper.config import EvalConfig, from_mapping

    if changes["eval.items"] == _ALL and any(s.startswith("eval.items=") for s in settings or ()):
        changes["eval.items"] = None
    return from_mapping(EvalConfig, options.settings_tree(settings, changes)["eval"], "eval")


def _say_what_is_there(game: BaseGame, config: Any) -> None:
    from gamekeeper.games.paper_report import describe

    console.say(describe(game, config.split, config.items).in_short())


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
    data = str(game.data.resolve()) if game.data else None
    unfinished = Unfinished(out, [what, game.version, to_plain(game.params), data, judge, to_plain(config)])
    if unfinished.done:
        console.say(f"going on after {len(unfinished.done)} episodes of an earlier call")
    yield unfinished.done, unfinished.keep
    unfinished.drop()


def _show(what: Mapping[str, Any], config: Any, found: Any, as_json: bool) -> None:
    sizes = {"items": len({e.group for e in found.rows}), "samples": config.samples, "temperature": config.temperature}
    if as_json:
        console.print_json({**what, **sizes, "metrics": dict(found.metrics), "intervals": dict(found.intervals)})
    else:
        console.print_table(("metric", ">value", "interval"), console.metric_rows(found.metrics, found.intervals))


def _write_rows(path: Path, rows: Any) -> None:
    """The episodes as lines that `gamekeeper score` reads again."""
    part = path.with_name(f".{path.name}.part")
    with open(part, "w", encoding="ascii") as file:
        file.writelines(console.to_json(row_of(row)) + "\n" for row in rows)
    part.replace(path)
