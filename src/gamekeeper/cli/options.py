"""Options that several verbs share, and how their text becomes values."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer

from gamekeeper.errors import DataError, UnknownName, UsageError

if TYPE_CHECKING:
    from gamekeeper.games.base import BaseGame

Name = Annotated[
    str, typer.Argument(metavar="GAME", help="A game's name; see them with: gamekeeper list", show_default=False)
]
Patches = Annotated[str, typer.Option(metavar="PATCHES", help="flawed, secure, or names of patches: a,b=0.5")]
Split = Annotated[str, typer.Option(metavar="SPLIT", help="train or test.")]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of the items and of chance.")]
Data = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The paper's data, not pocket items: a parquet file, or a folder of train.parquet and test.parquet.",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(metavar="N", help="With --data: the first N items only. Default: all.", show_default=False),
]
Clean = Annotated[bool, typer.Option("--clean", help="With --data: leave out rows that are no requests (compliance).")]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", metavar="KEY=VALUE", help="A parameter of the game, e.g. told=0.5; may be repeated."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any setting, e.g. train.learning_rate=3e-4; may be repeated."),
]

_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def folded(*records: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """For a verb of many options: its last arguments are dataclasses, of which each field is an option."""

    def decorated(verb: Callable[..., None]) -> Callable[..., None]:
        known = list(inspect.signature(verb).parameters.values())
        own, filled = known[: -len(records)], known[-len(records) :]
        parts = [(f, get_type_hints(r, include_extras=True)[f.name]) for r in records for f in fields(r)]
        hints = get_type_hints(verb, include_extras=True)
        shown = [p.replace(annotation=hints[p.name]) for p in own]
        shown += [
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=_default(f.default), annotation=hint)
            for f, hint in parts
        ]

        def called(**given: Any) -> None:
            made = {
                p.name: r(**{f.name: given.pop(f.name) for f in fields(r)})
                for p, r in zip(filled, records, strict=True)
            }
            verb(**given, **made)

        called.__name__, called.__doc__ = verb.__name__, verb.__doc__
        # What typer reads.
        called.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        called.__annotations__ = {p.name: p.annotation for p in shown}
        return called

    return decorated


def _default(given: Any) -> Any:
    return inspect.Parameter.empty if given is MISSING else given


@dataclass(frozen=True)
class Opened:
    """Which arm of a game, on whose data."""

    patches: Patches = "flawed"
    params: Params = None
    data: Data = None

    def open(self, name: str) -> BaseGame:
        """The game; raises UsageError for what it does not know."""
        return open_game(name, self.patches, self.data, self.params)


@dataclass(frozen=True)
class Played(Opened):
    """The same, and which of its items are met."""

    split: Split = "test"
    limit: Limit = None
    clean: Clean = False

    def open(self, name: str) -> BaseGame:
        """The game; raises UsageError for options that do not go together."""
        check_split(self.split)
        check_limit(self.limit, self.data)
        return open_game(name, self.patches, self.data, self.params, self.clean)


def open_game(
    name: str,
    patches: str = "flawed",
    data: Path | None = None,
    params: Sequence[str] | None = None,
    clean: bool = False,
) -> BaseGame:
    """The game that the options describe; raises UsageError on what it does not know."""
    from gamekeeper.registry import game_class, load_game

    options: dict[str, Any] = game_params(name, params or ())
    if clean:
        options["clean"] = True
        if not hasattr(game_class(name).Params, "clean"):
            raise UsageError(f"--clean goes with compliance, whose data has rows that are no requests, not {name!r}.")
    if data is not None:
        if not (data.is_file() or data.is_dir()):
            raise DataError(
                f"--data {str(data)!r} is not a file. Give the path of a parquet file with the paper's columns."
            )
        options["data"] = data
    elif clean:
        raise UsageError("--clean goes with --data; generated items are clean.")
    return load_game(name, patches, **options)


def digest_of(data: Path) -> str:
    """What tells a data file from another at the same path."""
    import hashlib

    with data.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_limit(limit: int | None, data: Path | None) -> None:
    if limit is not None and data is None:
        raise UsageError("--limit goes with --data; for generated items use --n.")
    at_least("--limit", 1 if limit is None else limit, 0)


def game_params(name: str, given: Sequence[str]) -> dict[str, Any]:
    """`--param` options of a game as typed values."""
    from gamekeeper.config import from_mapping
    from gamekeeper.registry import game_class

    cls = game_class(name).Params
    values = assignments(given, get_type_hints(cls), "--param", f"parameter of {name}")
    from_mapping(cls, values, name)  # for its complaints
    return values


def assignments(given: Iterable[str], hints: Mapping[str, Any], option: str, kind: str) -> dict[str, Any]:
    """Texts such as "told=.5" as a dict, each value read as its key's type."""
    values: dict[str, Any] = {}
    for text in given:
        key, mark, value = text.partition("=")
        key = key.strip()
        if not mark:
            raise UsageError(
                f"{option} {text!r} is not of the form KEY=VALUE. Known keys: {', '.join(sorted(hints)) or 'none'}."
            )
        if key not in hints:
            raise UnknownName(kind, key, hints)
        if key in values:
            raise UsageError(f"{option} gives {key!r} twice. Keep one of the two.")
        values[key] = _typed(value.strip(), hints[key], f"{option} {key}")
    return values


def _typed(text: str, hint: Any, where: str) -> Any:
    if type(None) in get_args(hint):
        if text.lower() in ("none", "null"):
            return None
        hint = next(a for a in get_args(hint) if a is not type(None))
    if hint is str:
        return text
    if hint is bool:
        if text.lower() not in _WORDS:
            raise UsageError(f"{where} is true or false, got {text!r}.")
        return _WORDS[text.lower()]
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            wanted = "a whole number" if hint is int else "a number"
            raise UsageError(f"{where} must be {wanted}, got {text!r}.") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def settings_tree(
    given: Sequence[str] | None, shorthands: Mapping[str, Any], more: Mapping[str, type] | None = None
) -> dict[str, dict[str, Any]]:
    """What `--set` and the options that stand for one setting say, as {"train": {...}, "eval": {...}}.

    more: further rooms of settings, each with its config class.
    """
    from gamekeeper.config import EvalConfig, TrainConfig

    rooms: dict[str, type] = {"train": TrainConfig, "eval": EvalConfig, **(more or {})}
    hints = {f"{room}.{key}": hint for room, cls in rooms.items() for key, hint in get_type_hints(cls).items()}
    values = assignments(given or (), hints, "--set", "setting")
    for key, value in shorthands.items():
        if value is None:
            continue
        if key in values:
            raise UsageError(f"--set {key} and --{key.partition('.')[2]} say the same. Keep one of the two.")
        values[key] = value
    tree: dict[str, dict[str, Any]] = {room: {} for room in rooms}
    for key, value in values.items():
        room, _, field = key.partition(".")
        tree[room][field] = value
    return tree


def check_split(split: str) -> None:
    from gamekeeper.games.base import SPLITS

    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)


def at_least(option: str, value: int, low: int) -> None:
    if value < low:
        raise UsageError(f"{option} must be at least {low}, got {value}.")
