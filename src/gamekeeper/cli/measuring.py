"""`eval`: a policy is measured on a game. `studies` does the work; this asks for it and shows it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gamekeeper.cli import console, options
from gamekeeper.cli.progress import Meter


def evaluate(
    name: options.Name,
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL", help="pocket, the directory of a checkpoint, or script:NAME (honest, exploit, null)."
        ),
    ],
    n: Annotated[int | None, typer.Option("--n", "-n", metavar="N", help="How many items.", show_default=False)] = None,
    samples: Annotated[int | None, typer.Option(metavar="N", help="Replies to each item.", show_default=False)] = None,
    seed: options.Seed = 0,
    split: options.Split = "test",
    patches: options.Patches = "flawed",
    data: options.Data = None,
    params: options.Params = None,
    temperature: Annotated[float | None, typer.Option(metavar="T", help="0 is greedy.", show_default=False)] = None,
    settings: options.Set = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every episode as JSON lines.", show_default=False)
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Measure a policy on a game, without training it.

    \b
    Examples:
      gamekeeper eval tamper --model pocket
      gamekeeper eval tamper --model runs/tamper-flawed-seed0/checkpoints/step-60 --n 64 --json
      gamekeeper eval summary --model script:exploit --patches secure
    """
    from gamekeeper.config import EvalConfig, from_mapping
    from gamekeeper.studies import runner

    options.check_split(split)
    game = options.open_game(name, patches, data, params)
    changes = {"eval.items": n, "eval.samples": samples, "eval.temperature": temperature, "eval.split": split}
    config = from_mapping(EvalConfig, options.settings_tree(settings, changes)["eval"], "eval")

    with console.interruptible("Nothing was measured."), Meter(name) as meter:
        found = runner.evaluate(game, model, config, seed=seed, progress=meter)
    if out is not None:
        _write_rows(out, found.rows)
    what = {"game": name, "patches": sorted(game.patches), "model": model, "split": split, "seed": seed}
    sizes = {"items": config.items, "samples": config.samples, "temperature": config.temperature}
    if as_json:
        console.print_json({**what, **sizes, "metrics": dict(found.metrics), "intervals": dict(found.intervals)})
    else:
        console.print_table(("metric", ">value", "interval"), _metric_rows(found.metrics, found.intervals))


def _metric_rows(metrics: Mapping[str, float], intervals: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    shown = {k: f"[{low:.3f}, {high:.3f}]" for k, (low, high) in intervals.items()}
    return [(k, console.number(v), shown.get(k, "-")) for k, v in metrics.items()]


def _write_rows(path: Path, rows: Any) -> None:
    """The episodes as lines that `gamekeeper score` reads again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with open(part, "w", encoding="ascii") as file:
        for row in rows:
            asked = [[{"role": m.role, "content": m.content} for m in prompt] for prompt in row.prompts]
            line = {"item": row.item_id, "prompts": asked, "replies": list(row.replies), **row.score.to_json()}
            file.write(console.to_json(line) + "\n")
    part.replace(path)
