"""`audit`: what a grader pays for that it should not."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamekeeper.cli import console, options
from gamekeeper.cli.progress import Meter
from gamekeeper.cli.writing import Texts, check_places, write_all
from gamekeeper.errors import UsageError

if TYPE_CHECKING:
    from gamekeeper.audit import Report, Settings

_VALUED = {
    "--examples",
    "--bind",
    "--param",
    "--oracle",
    "--only",
    "--seed",
    "--most-examples",
    "--seconds",
    "--search",
    "--learn",
    "--timeout",
    "--memory",
    "--require-isolation",
    "--env",
}
_FLAGS = {"--network"}
_NOT_WRITTEN = 3  # a finding's 1 goes before it: the verdict was shown, and it is the graver


@dataclass(frozen=True, slots=True)
class Looking:
    """What is looked at, for what, and how hard."""

    examples: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="JSON Lines or array: prompt, answer, good (right replies), columns.",
            show_default=False,
        ),
    ] = None
    bind: Annotated[
        list[str] | None,
        typer.Option(metavar="PARAMETER=SOURCE", help="completion, prompt, answer, row or a column; may be repeated."),
    ] = None
    params: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="KEY=VALUE", help="Of a game or library: patches=secure; may be repeated."),
    ] = None
    oracle: Annotated[
        str, typer.Option(metavar="TARGET", help="A function that says what a reply is worth, 0 to 1.")
    ] = ""
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A family or cause, e.g. answer/hedge; may be repeated.")
    ] = None
    seed: options.Seed = 0
    most_examples: Annotated[int, typer.Option(metavar="N", help="Examples to confirm a suspicion on.")] = 16
    seconds: Annotated[
        float, typer.Option(metavar="S", help="For all but loading and --learn; may be exceeded by 4 s or two calls.")
    ] = 60.0
    search: Annotated[int, typer.Option(metavar="N", help="Calls that the search may make; 0 is off.")] = 400
    learn: Annotated[int, typer.Option(metavar="N", help="Steps of a learning adversary; needs [train].")] = 0
    timeout: Annotated[float, typer.Option(metavar="S", help="Seconds that one call may take.")] = 5.0
    memory: Annotated[int, typer.Option(metavar="MB", help="Memory of the target's process.")] = 4096
    env: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A variable to pass to the target; may be repeated.")
    ] = None
    level: Annotated[
        str | None,
        typer.Option(
            "--require-isolation",
            metavar="LEVEL",
            help="Attack no target below: limits, filtered or full. Default: filtered for one that runs code.",
            show_default=False,
        ),
    ] = None
    network: Annotated[bool, typer.Option("--network", help="Let the target use the network.")] = False

    def settings(self, fail_on: str, typed: Sequence[str]) -> Settings:
        from gamekeeper.audit import Settings

        return Settings(
            seed=self.seed,
            most_examples=self.most_examples,
            seconds=self.seconds,
            search=self.search,
            learn=self.learn,
            only=tuple(self.only or ()),
            fail_on=fail_on,
            bind=_pairs(self.bind, "--bind"),
            params=_params(self.params),
            oracle=self.oracle,
            wall_s=self.timeout,
            memory_mb=self.memory,
            network=self.network,
            environment=tuple(self.env or ()),
            isolation=self.level,
            command=_typed(typed),
        )


@dataclass(frozen=True, slots=True)
class Telling:
    """What becomes of the findings."""

    fail_on: Annotated[str, typer.Option(metavar="SEVERITY", help="low, medium, high or critical.")] = "medium"
    verify_fix: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Replay the findings of an earlier --json report.", show_default=False),
    ] = None
    sarif: Annotated[Path | None, typer.Option(metavar="FILE", help="Write SARIF 2.1.0.", show_default=False)] = None
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.", show_default=False)] = None
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write an HTML page.", show_default=False)] = None
    as_json: options.Json = False

    def places(self) -> dict[str, Path]:
        """The files that are wanted, by their options."""
        given = {"--sarif": self.sarif, "--junit": self.junit, "--html": self.html}
        return {option: path for option, path in given.items() if path is not None}


@options.folded(Looking, Telling)
def audit(
    ctx: typer.Context,
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", help="module:function, file.py:function or KIND:NAME.", show_default=False),
    ],
    looking: Looking,
    telling: Telling,
) -> None:
    """Find the loophole in a reward before training finds it.

    Plays wrong replies against a grader and reports those that it pays. The target runs in a throw-away process
    without your environment. Exit code 1 on a finding at or above --fail-on, 3 if there can be no verdict or a file
    cannot be written.

    \b
    Examples:
      gamekeeper audit grader.py:reward --examples examples.jsonl
      gamekeeper audit mypackage.rewards:score --examples e.jsonl --bind answer=gold --sarif audit.sarif
      gamekeeper audit reasoning_gym:gcd
      gamekeeper audit pay:table.json
      gamekeeper audit game:tamper
      gamekeeper audit game:tamper --param patches=secure
      gamekeeper audit grader.py:reward --examples e.jsonl --verify-fix audit.json
    """
    from gamekeeper.audit.examples import read_examples

    _check_outputs(telling, looking)
    settings = looking.settings(telling.fail_on, ctx.obj["typed"])
    check_places(telling.places(), _inputs(target, looking))
    rows = read_examples(looking.examples) if looking.examples is not None else []
    if telling.verify_fix is not None:
        with console.terminable():
            _verify(target, telling.verify_fix, rows, settings, telling.as_json)
        return
    with console.terminable():
        report = _run(target, rows, settings)
    code = report.exit_code(telling.fail_on)
    try:
        _show(report, telling.as_json)
    finally:  # whoever reads stdout may have left; the files are for others
        for message in write_all(_texts(report, telling, looking.examples)):
            console.show_error(message)
            code = code or _NOT_WRITTEN
    if code:
        raise typer.Exit(code)


def _check_outputs(telling: Telling, looking: Looking) -> None:
    """A replay makes no report, so that a file of one would never come, and it replays all that the old one holds."""
    if telling.verify_fix is None:
        return
    if asked := list(telling.places()):
        raise UsageError(
            f"--verify-fix replays findings and writes no {' and no '.join(asked)}. "
            "Leave it out, or use --json, which prints the replays."
        )
    if looking.only:
        raise UsageError(
            "--verify-fix replays all findings of its report, whatever --only names. Leave --only out, or give a "
            "report that was made with it."
        )


def _pairs(given: Sequence[str] | None, option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given or ():
        for part in text.split(","):
            key, mark, value = (p.strip() for p in part.partition("="))
            if not (mark and key and value):
                raise UsageError(f"{option} {text!r} is not of the form KEY=VALUE. Write e.g. {option} answer=gold")
            if key in found:
                raise UsageError(f"{option} gives {key!r} twice. Keep one of the two.")
            found[key] = value
    return found


def _params(given: Sequence[str] | None) -> dict[str, Any]:
    """Values as JSON where they are JSON, so that numbers are numbers. A comma belongs to the value here."""
    import json

    found: dict[str, Any] = {}
    for text in given or ():
        key, mark, value = text.partition("=")
        if not mark or not key.strip():
            raise UsageError(f"--param {text!r} is not of the form KEY=VALUE. Write e.g. --param patches=secure")
        try:
            found[key.strip()] = json.loads(value)
        except (ValueError, RecursionError):
            found[key.strip()] = value
    return found


def _typed(arguments: Sequence[str]) -> tuple[str, ...]:
    """The options as typed that make the audit what it is, for the `repro` of a finding."""
    kept: list[str] = []
    rest = iter(arguments)
    for word in rest:
        name = word.partition("=")[0]
        if name in _FLAGS or (name in _VALUED and "=" in word and name != "--only"):
            kept.append(word)
        elif word in _VALUED:
            value = next(rest, "")
            kept += [word, value] if word != "--only" else []
    return tuple(kept)


def _run(target: str, rows: Sequence[Any], settings: Settings) -> Report:
    from gamekeeper.audit import audit as look

    bar = Meter("audit") if sys.stderr.isatty() else nullcontext()
    with console.interruptible("Nothing was left behind; start it again."), bar as meter:
        return look(target, rows, settings, meter)


def _inputs(target: str, looking: Looking) -> dict[str, Path]:
    """The files that are read, by what names them."""
    from gamekeeper.audit.targets.places import file_of

    given = {
        "TARGET": file_of(target, os.getcwd()),
        "--oracle": file_of(looking.oracle, os.getcwd()),
        "--examples": looking.examples,
    }
    return {name: path for name, path in given.items() if path is not None}


def _texts(report: Report, telling: Telling, examples: Path | None) -> Texts:
    """Where to write what; each text is made when its turn comes."""
    from gamekeeper.audit.outputs.junit import junit
    from gamekeeper.audit.outputs.page import page
    from gamekeeper.audit.outputs.sarif import sarif

    makers: dict[str, Callable[[], str]] = {
        "--sarif": lambda: console.to_json(sarif(report, examples)) + "\n",
        "--junit": lambda: junit(report, telling.fail_on),
        "--html": lambda: page(report),
    }
    return [(path, makers[option]) for option, path in telling.places().items()]


def _show(report: Report, as_json: bool) -> None:
    from gamekeeper.audit.outputs.text import general, headline, lines
    from gamekeeper.audit.quoting import one_line

    if as_json:
        console.print_json(report.to_json())
        console.say(headline(report))
        return
    found = [
        (f.severity, f.cause, f"{f.reward:g}", f"{f.honest_reward:g}", f"{f.share:.0%}", one_line(general(f)))
        for f in report.findings
    ]
    found += [(f.severity, f.id, "-", "-", "-", one_line(general(f))) for f in report.faults]
    if found:
        console.print_table(("severity", "what was found", ">paid", ">honest", ">of examples", "meaning"), found)
        console.out()
    for line in lines(report):
        console.out(line)


def _paid(reward: float | None) -> str:
    return "-" if reward is None else f"{reward:g}"


def _verify(target: str, path: Path, rows: Sequence[Any], settings: Settings, as_json: bool) -> None:
    from gamekeeper.audit import verify_fix
    from gamekeeper.audit.finding import severity_rank
    from gamekeeper.audit.outputs.reading import read_report
    from gamekeeper.audit.quoting import one_line

    reach, replays = verify_fix(target, read_report(path), rows, settings)
    if not reach.reached:
        if as_json:
            console.print_json({"reached": False, "why": reach.why, "needs": reach.needs, "replays": []})
        console.show_error(one_line(f"No verdict: {reach.why}. {reach.needs}"))
        raise typer.Exit(3)
    unsure = [r for r in replays if r.error and not r.closed]
    still = [
        r
        for r in replays
        if not r.closed and not r.error and severity_rank(r.finding.severity) >= severity_rank(settings.fail_on)
    ]
    if as_json:
        rows_out = [
            {"id": r.finding.id, "closed": r.closed, "reward": r.reward, "gain": r.gain, "error": r.error}
            for r in replays
        ]
        console.print_json({"reached": True, "replays": rows_out})
    for r in replays if not as_json else ():
        state = "closed" if r.closed else "cannot tell" if r.error else "STILL PAID"
        now = r.error or f"now {_paid(r.reward)}"
        console.out(one_line(f"{state:13} {r.finding.id}: was paid {r.finding.reward:g}; {now}"))
    console.say(
        f"{len(still)} of {len(replays)} findings at or above {settings.fail_on} are still paid"
        + (f"; of {len(unsure)} nothing can be said" if unsure else "")
    )
    if still:
        raise typer.Exit(1)
    if unsure:
        raise typer.Exit(3)
