"""What the generated parts of the docs say: each function here makes one part, from the code or from a record."""

from __future__ import annotations

import ast
import inspect
import json
import math
import re
import sys
import textwrap
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields, replace
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

from audit_blocks import audit_corpus, field_report
from backends import describe as describe_backends
from doc_tables import table
from gamekeeper import errors
from gamekeeper.config import EvalConfig, TrainConfig
from gamekeeper.games.base import BaseGame
from gamekeeper.metrics import TABLE, Metric
from gamekeeper.registry import ARMS, BUILTIN, game_class, load_game
from gamekeeper.types import Message, Score
from parity_blocks import parity, parity_files, parity_undecidable

RECORDS = Path(__file__).resolve().parent.parent / "docs" / "records"
NO_RECORD = "*No record is committed yet.*"
HELP_WIDTH = 100
EXPLOITED = {True: ", exploited", False: "", None: ""}


# Markdown


def fenced(text: str, kind: str = "text") -> str:
    """A code block whose fence is longer than any in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{kind}\n{text.rstrip()}\n{fence}"


def prose(text: str) -> str:
    """A docstring as Markdown: tags outside backticks would vanish as HTML."""
    pieces = text.split("`")
    return "`".join(p if i % 2 else p.replace("<", "&lt;") for i, p in enumerate(pieces))


def code(text: str, most: int = 90) -> str:
    """One line of code in a table cell, cut where it is long."""
    line = text.replace("\n", " ⏎ ").replace("`", "'")
    line = line if len(line) <= most else line[: most - 1] + "…"
    return f"`{line}`" if line.strip() else "*(nothing)*"


def first_paragraph(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")


def yes(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "by batch"}[value]


# Games


def games() -> str:
    """All built-in games, as questions."""
    rows = []
    for name in BUILTIN:
        cls = game_class(name)
        rows.append([f"[{name}](docs/games.md#{name})", cls.question, patch_names(cls)])
    return table(["game", "the question", "repairs (**recommended**)"], rows)


def patch_names(cls: type[BaseGame]) -> str:
    names = [f"**`{k}`**" if p.recommended else f"`{k}`" for k, p in cls.patch_table.items()]
    return ", ".join(names) or "none: no flaw"


def game(name: str) -> str:
    """One game: its own words, its repairs and parameters, an item with scripted replies."""
    cls = game_class(name)
    parts = [prose(inspect.getdoc(sys.modules[cls.__module__]) or "")]
    if cls.patch_table:
        parts.append(patches_of(cls))
    if fields(cls.Params):
        parts.append("Parameters (`--param KEY=VALUE`):\n\n" + parameters(cls.Params))
    parts.append(f"Emergence is read off `{cls.emergence}`; domination starts at {number(cls.bar)}.")
    shown = [script for script in ("honest", "exploit") if script in played(name)]
    parts += [f"#### An item of {name}", item(name, *shown)]
    parts += [f"#### The scripts of {name}", scripts(name)]
    return "\n\n".join(parts)


def patches_of(cls: type[BaseGame]) -> str:
    rows = []
    for name, patch in cls.patch_table.items():
        marks = [word for word, on in (("recommended", patch.recommended), ("published", patch.published)) if on]
        written = name if patch.value is None else f"{name}={patch.value:g}"
        rows.append([f"`{written}`", patch.help, ", ".join(marks)])
    return "Repairs (`--patches`; *secure* is all that are recommended):\n\n" + table(
        ["repair", "what it does", ""], rows
    )


def parameters(cls: type) -> str:
    """The fields of a dataclass with their defaults and the docstrings under them."""
    helps = field_help(cls)
    rows = []
    for field in fields(cls):
        default = field.default if field.default is not MISSING else "required"
        rows.append([f"`{field.name}`", f"`{default}`", helps.get(field.name, "")])
    return table(["name", "default", "meaning"], rows)


def field_help(cls: type) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
    out = {}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            out[field.target.id] = " ".join(str(text.value.value).split())  # type: ignore[union-attr]
    return out


def item(name: str, *scripts: str) -> str:
    """The first test item as a policy meets it, and what scripted replies to it earn and are worth."""
    shown = load_game(name)
    parts = [fenced(chat(shown.prompt(shown.item_at("test", 0, 0)) or ()))]
    for script, (replies, scores) in played(name).items():
        if script in scripts:
            said = "\n".join(f"[assistant]\n{reply or '(nothing)'}" for reply in replies)
            parts += [f"The *{script}* script replies:\n\n{fenced(said)}", outcomes(scores)]
    return "\n\n".join(parts)


def scripts(name: str) -> str:
    """Every scripted reply to the first test item, with what it earns and is worth in each arm."""
    rows = []
    for script, (replies, scores) in played(name).items():
        said = code(" ⏎⏎ ".join(reply or "(nothing)" for reply in replies), 140)
        earned = [f"{number(s.reward)}{EXPLOITED[s.exploited]}" for s in scores.values()]
        rows.append([script, said, number(scores["flawed"].truth), *earned])
    return table(["script", "replies", "truth", *(f"reward, {arm}" for arm in ARMS)], rows)


@cache
def played(name: str) -> dict[str, tuple[Sequence[str], dict[str, Score]]]:
    """Each script's replies to the first test item, with their scores in each arm."""
    arms = {arm: load_game(name, arm) for arm in ARMS}
    first = arms["flawed"].item_at("test", 0, 0)
    found = arms["flawed"].scripts(first)
    episodes = [(first, script.replies) for script in found]
    columns = {arm: game.score_many(episodes) for arm, game in arms.items()}
    return {s.name: (s.replies, {arm: columns[arm][row] for arm in ARMS}) for row, s in enumerate(found)}


def chat(messages: Sequence[Message]) -> str:
    return "\n".join(f"[{m.role}]\n{m.content}" for m in messages)


def outcomes(scores: dict[str, Score]) -> str:
    rows = [[arm, number(s.reward), number(s.truth), yes(s.exploited), code(s.evidence)] for arm, s in scores.items()]
    same = len({tuple(r[1:]) for r in rows}) == 1 and len(rows) > 1
    if same:
        rows = [["flawed and secure", *rows[0][1:]]]
    return table(["game", "reward", "truth", "exploited", "evidence"], rows)


# Command line


def _root() -> tuple[Any, Any]:
    import typer

    from gamekeeper.cli import app

    command = typer.main.get_command(app)
    return command, _context(command, "gamekeeper", None)


def _context(command: Any, name: str, parent: Any) -> Any:
    return command.context_class(
        command, info_name=name, parent=parent, terminal_width=HELP_WIDTH, **command.context_settings
    )


def commands() -> str:
    """Every verb with the first sentence of its help."""
    root, _ = _root()
    rows = [[f"[`{name}`](docs/cli.md#{name})", first_paragraph(c.help)] for name, c in root.commands.items()]
    return table(["verb", "what it does"], rows)


def command_help() -> str:
    """The help text of every verb, as it is printed."""
    root, context = _root()
    return "\n\n".join(_help(command, name, context, "##") for name, command in root.commands.items())


def _help(command: Any, name: str, parent: Any, mark: str) -> str:
    """The help text of a verb, then those of the verbs under it."""
    own = _context(command, name, parent)
    below = [_help(c, n, own, f"{mark}#") for n, c in getattr(command, "commands", {}).items()]
    title = own.command_path.removeprefix("gamekeeper ")
    return "\n\n".join([f"{mark} {title}\n\n{fenced(command.get_help(own))}", *below])


def exit_codes() -> str:
    """What the process ends with, and the errors that lead there."""
    from gamekeeper.cli import console

    meanings = {
        0: "fine",
        1: "a failed check or a finding",
        2: "the call is wrong, or something that it needs is missing",
        3: "nothing can be said: the run, the grader or the machine failed",
        console.INTERRUPTED: "interrupted (Ctrl-C)",
        console.BROKEN_PIPE: "the reader of the output went away",
    }
    raised: dict[int, list[str]] = {}
    for cls in vars(errors).values():
        if isinstance(cls, type) and issubclass(cls, errors.GamekeeperError) and cls is not errors.GamekeeperError:
            raised.setdefault(cls.exit_code, []).append(f"`{cls.__name__}`")
    assert set(raised) <= set(meanings), "an exit code without a meaning"
    return table(
        ["code", "meaning", "errors"], [[str(c), m, ", ".join(raised.get(c, []))] for c, m in meanings.items()]
    )


# Metrics, settings, records


def metrics() -> str:
    """The one table of metrics, with those that only one outside game has left out."""
    directions = {"up": "higher", "down": "lower", "": "neither"}
    rows = [[f"`{m.name}`", m.formula, metric_range(m), directions[m.better], m.source] for m in TABLE.values()]
    return table(["metric", "meaning", "range", "better", "source"], rows)


def metric_range(metric: Metric) -> str:
    low = "(-∞" if metric.low == -math.inf else f"[{metric.low:g}"
    high = "∞)" if metric.high == math.inf else f"{metric.high:g}]"
    return f"{low}, {high}"


def settings() -> str:
    """What `--set` takes, with the defaults."""
    rows = [
        [f"`{room}.{field.name}`", f"`{field.default}`"]
        for room, cls in (("train", TrainConfig), ("eval", EvalConfig))
        for field in fields(cls)
    ]
    return table(["setting", "default"], rows)


def trl_settings() -> str:
    """What `--set` takes besides with the TRL backend."""
    from gamekeeper.adapters.trl.settings import TrlConfig

    helps = field_help(TrlConfig)
    rows = [[f"`trl.{f.name}`", f"`{_default(f)}`", helps[f.name]] for f in fields(TrlConfig)]
    return table(["setting", "default", "meaning"], rows)


def _default(field: Any) -> Any:
    return field.default if field.default is not MISSING else {}


def preset() -> str:
    """The paper's sizes, game by game."""
    from gamekeeper.adapters.presets import PAPER

    rows = [
        [name, str(s.batch), str(s.prompt_tokens), " and ".join(map(str, s.reply_tokens)), str(s.passes), str(s.top_k)]
        for name, s in PAPER.items()
    ]
    return table(["game", "prompts a step", "prompt tokens", "reply tokens", "passes", "top-k when measured"], rows)


def backends() -> str:
    """The native trainer and TRL compared (scripts/backends.py)."""
    path = RECORDS / "backends.json"
    if not path.is_file():
        return NO_RECORD
    return describe_backends(json.loads(path.read_text()))


def adapters() -> str:
    """Which version of which library each adapter was tested with, from the record of `make test-adapters`."""
    path = RECORDS / "adapters.json"
    if not path.is_file():
        return NO_RECORD
    rows = []
    for name, found in json.loads(path.read_text())["adapters"].items():
        tested = ", ".join(f"{library} {found['versions'][library]}" for library in found["libraries"])
        extra = f"`[{found['extra']}]`" if found["extra"] else "-"
        rows.append([name, found["what"], extra, supported(found["extra"], name), tested, str(found["passed"])])
    header = ["adapter", "what it is for", "extra", "supported", "tested with", "tests"]
    return table(header, rows)


def supported(extra: str | None, name: str) -> str:
    """The library's range: in pyproject.toml the first requirement of the extra, without one that of the audit."""
    if extra is None:
        module = import_module(f"gamekeeper.audit.targets.{name}")
        return f"`{name.replace('_', '-')}>={module._RANGE[0]},<{module._RANGE[1]}`"
    project = tomllib.loads((RECORDS.parents[1] / "pyproject.toml").read_text())["project"]
    return f"`{project['optional-dependencies'][extra][0]}`"


_DOTS = re.compile(r"(?:^\.+ +\[ *\d+%\]\n){4,}", re.M)


def _few_dots(rows: re.Match[str]) -> str:
    first, *middle, last = rows[0].splitlines()
    return f"{first}\n[{len(middle)} rows like it]\n{last}\n"


def record(name: str) -> str:
    """What a command printed, with where and when it did (scripts/record.py): word for word, but for rows of dots."""
    path = RECORDS / f"{name}.json"
    if not path.is_file():
        return NO_RECORD
    kept = json.loads(path.read_text())
    about = kept["machine"]
    where = f"{about['processor']}, {about['cores']} cores, commit {commit_of(about)}"
    return f"{fenced(_DOTS.sub(_few_dots, kept['output']))}\n\n*{kept['seconds']:.0f} s on {where}.*"


def commit_of(about: dict[str, Any]) -> str:
    sha, _, changes = about["commit"].partition(" ")
    return f"`{sha[:12]}` {changes}".rstrip()


def studies() -> str:
    """All studies: what each asks, what it runs, and what it takes where nothing is finished yet."""
    from gamekeeper.studies.catalogue import STUDIES, study_of
    from gamekeeper.studies.cells import closure
    from gamekeeper.studies.grid import expected_seconds
    from gamekeeper.studies.scope import SIZES

    rows = []
    for found in map(study_of, STUDIES):
        placed = found.place(replace(SIZES["pocket"], games=found.games, seeds=found.seeds))
        cells = closure(p.cell for p in placed)
        minutes = f"{sum(map(expected_seconds, cells)) / 60 / 2:.0f}"
        seeds = f"{found.seeds[0]} to {found.seeds[-1]}"
        rows.append([f"[`{found.name}`](#{found.name})", found.question, found.how, seeds, str(len(placed)), minutes])
    return table(["study", "question", "what is run", "seeds", "cells", "minutes"], rows)


def study(name: str) -> str:
    """A study's answer, from its records."""
    from gamekeeper.report.study_text import markdown
    from gamekeeper.studies.catalogue import study_of
    from gamekeeper.studies.store import read_results

    if not any((RECORDS / name).glob("*.json")):
        return NO_RECORD
    return markdown(study_of(name).answer(read_results(RECORDS, name)))


_PARITY = (parity, parity_files, parity_undecidable)
_RECORDED = (record, studies, study, adapters, backends, audit_corpus, field_report, *_PARITY)
_TRAINERS = (trl_settings, preset)
_ALL = (games, game, item, scripts, commands, command_help, exit_codes, metrics, settings, *_TRAINERS, *_RECORDED)
BLOCKS: dict[str, Callable[..., str]] = {f.__name__.replace("_", "-"): f for f in _ALL}


def make(call: str) -> str:
    """The text of a generated part from its name and arguments."""
    name, *arguments = call.split()
    return BLOCKS[name](*arguments)
