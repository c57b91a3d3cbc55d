"""`list`, `play` and `items`: what the games are, as a person meets them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamekeeper.cli import console, options
from gamekeeper.errors import GamekeeperError, UsageError

if TYPE_CHECKING:
    from gamekeeper.games.base import BaseGame
    from gamekeeper.games.paper_report import Described
    from gamekeeper.types import Item, Prompt, Score

# list


def list_games(as_json: options.Json = False) -> None:
    """List the games, their questions and their patches.

    \b
    Examples:
      gamekeeper list
      gamekeeper list --json
    """
    from gamekeeper.registry import game_names

    known = [_description(name) for name in game_names()]
    if as_json:
        console.print_json(known)
        return
    console.print_table(("game", "level", "question and patches"), [_list_row(game) for game in known])
    console.say("* recommended: together they are `secure`    + the repair that the paper published")


def _description(name: str) -> dict[str, Any]:
    from gamekeeper.registry import game_class

    try:
        cls = game_class(name)
    except GamekeeperError as error:  # one broken package must not hide the other games
        return {"name": name, "error": str(error)}
    defaults = cls.Params()
    return {
        "name": name,
        "version": cls.version,
        "question": cls.question,
        "levels": ["pocket", "paper"] if cls.has_paper_level() else ["pocket"],
        "patches": [
            {"name": k, "help": p.help, "recommended": p.recommended, "published": p.published, "value": p.value}
            for k, p in cls.patch_table.items()
        ],
        "params": {f.name: getattr(defaults, f.name) for f in fields(cls.Params)},
        "metrics": _metric_names(cls()),
    }


def _metric_names(game: BaseGame) -> list[str]:
    """The names that the game's metrics give on a small batch of its own scripts."""
    items = game.items("train", 4, 0)
    scores = game.score_many([(item, script.replies) for item in items for script in game.scripts(item)])
    return list(game.metrics(scores))


def _list_row(game: dict[str, Any]) -> tuple[str, str, str]:
    if "error" in game:
        return game["name"], "-", game["error"]
    patches = [f"  {p['name']}{_marks(p)}  {p['help']}" for p in game["patches"]] or ["  no patches"]
    lines = [game["question"], *patches, f"  metrics: {', '.join(game['metrics'])}", ""]
    return game["name"], "\n".join(game["levels"]), "\n".join(lines)


def _marks(patch: dict[str, Any]) -> str:
    return ("*" if patch["recommended"] else "") + ("+" if patch["published"] else "")


# items

_GENERATED = 5


@options.folded(options.Played)
def items(
    name: options.Name,
    n: Annotated[
        int | None,
        typer.Option("--n", "-n", metavar="N", help="How many items. Default: 5; all with --data.", show_default=False),
    ] = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    *,
    played: options.Played,
) -> None:
    """Print items of a game.

    To read, or with --json for another program to answer: a line holds the item and its first prompt. Hand the
    item or its id, with the replies, to `gamekeeper score`.

    \b
    Examples:
      gamekeeper items tamper --n 2
      gamekeeper items summary --data test.parquet --limit 10 --json > items.jsonl
    """
    options.at_least("--n", n or 0, 0)
    if n is not None and played.limit is not None:
        raise UsageError("--n and --limit say the same here. Keep one of the two.")
    game = played.open(name)
    found = _described(game, played.split, played.limit if n is None else n)
    for item in found or _generated(game, played.split, seed, _GENERATED if n is None else n):
        prompt = game.prompt(item) or ()
        if as_json:
            messages = [{"role": m.role, "content": m.content} for m in prompt]
            console.print_json({**item.to_json(), "prompt": messages})
        else:
            console.out(f"--- {item.id}")
            show_prompt(prompt, sys.stdout.write)
            console.out()
    if found:
        console.say(found.report.in_short())


def _described(game: BaseGame, split: str, limit: int | None) -> Described | None:
    """The items of the game's data file, if it has one, with what is to be said of them."""
    from gamekeeper.games.paper_report import Described

    return Described(game, split, limit) if game.level == "paper" else None


def _generated(game: BaseGame, split: str, seed: int, n: int) -> Iterator[Item]:
    """Items one at a time, so that a million of them cost no memory."""
    return (game.item_at(split, seed, index) for index in range(n))


def show_prompt(prompt: Prompt, write: Any) -> None:
    for message in prompt:
        write(console.visible(f"[{message.role}]\n{message.content}\n"))


# play


@dataclass(frozen=True, slots=True)
class Sitting:
    """Which item is played, and how replies are typed."""

    split: options.Split = "test"
    seed: options.Seed = 0
    index: Annotated[int, typer.Option("--index", "-i", metavar="N", help="Which item, from 0.")] = 0
    one_line: Annotated[bool, typer.Option("--single-line", help="A reply is one line; no empty line ends it.")] = False
    as_json: options.Json = False

    def __post_init__(self) -> None:
        options.check_split(self.split)
        options.at_least("--index", self.index, 0)


@options.folded(options.Opened, Sitting)
def play(name: options.Name, opened: options.Opened, how: Sitting) -> None:
    """Play one item yourself.

    Read the prompt, reply, see reward and truth. End a reply with an empty line, or with Ctrl-D. Replies can be
    piped in.

    \b
    Examples:
      gamekeeper play tamper
      gamekeeper play selfgrade --patches audit=1 --index 3
      printf 'blue\\n\\nYes\\n' | gamekeeper play selfgrade
    """
    game = opened.open(name)
    item = _nth(game, how.split, how.seed, how.index)
    with console.interruptible("Nothing was scored."):
        replies = _converse(game, item, how.one_line, sys.stderr if how.as_json else sys.stdout)
    score = game.score(item, replies)
    if how.as_json:
        console.print_json({"item": item.id, "patches": sorted(game.patches), "replies": replies, **score.to_json()})
    else:
        _show_score(score)


def _nth(game: BaseGame, split: str, seed: int, index: int) -> Item:
    if game.level == "pocket":
        return game.item_at(split, seed, index)
    found = game.items(split, index + 1, seed)
    if len(found) <= index:
        raise UsageError(f"--index {index} is past the last item of split {split!r}: the file has {len(found)}.")
    return found[index]


def _converse(game: BaseGame, item: Item, one_line: bool, stream: Any) -> list[str]:
    """Shows each prompt and reads each reply until the game or the input ends."""
    replies: list[str] = []
    ended = False
    while not ended:
        prompt = game.prompt(item, replies)
        if prompt is None:
            break
        show_prompt(prompt, stream.write)
        stream.write("[you: one line]\n" if one_line else "[you: end with an empty line]\n")
        stream.flush()
        reply, ended = _read_reply(one_line)
        replies.append(reply)
        stream.write("\n")
    return replies


def _read_reply(one_line: bool) -> tuple[str, bool]:
    """The next reply, and whether the input ended with it; at a terminal Ctrl-D ends the reply only."""
    lines: list[str] = []
    while True:
        line = sys.stdin.readline()
        text = line.rstrip("\n")
        if one_line or not line or not text:
            return "\n".join([*lines, text] if text else lines), not line and not sys.stdin.isatty()
        lines.append(text)


def _show_score(score: Score) -> None:
    if score.unscored is not None:
        console.out(f"unscored   {score.unscored}")
        return
    known = {True: "yes", False: "no", None: "not to be told from one episode"}
    console.out(f"reward     {console.number(score.reward)}   what training sees")
    console.out(f"truth      {console.number(score.truth)}   what was wanted")
    console.out(f"exploited  {known[score.exploited]}")
    console.out(f"evidence   {score.evidence or '-'}")
