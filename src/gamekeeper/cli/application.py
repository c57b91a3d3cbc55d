"""The verbs together, and the one place where an error becomes a message and an exit code.

Exit codes: 0 fine, 1 a failed check or a finding, 2 the call is wrong, 3 nothing can be said (or a bug here),
130 interrupted, 141 the reader of stdout went away.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gamekeeper import __version__
from gamekeeper.cli import (
    auditing,
    checking,
    console,
    creating,
    environments,
    exporting,
    isolating,
    measuring,
    playing,
    reporting,
    scoring,
    serving,
    studying,
    training,
)
from gamekeeper.errors import GamekeeperError


class Application(TyperGroup):
    """The group of verbs. Its `main` never lets an exception out, whether a shell or a test calls it."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return list(self.commands)  # in the order of use, not of the alphabet

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:  # typer itself would end with 1, which here means a finding
            console.abandon_stdout()
            raise typer.Exit(console.BROKEN_PIPE) from None
        except KeyboardInterrupt:
            raise console.Interrupted("Interrupted.") from None

    def main(self, args: Sequence[str] | None = None, *_: Any, standalone_mode: bool = True, **__: Any) -> Any:
        typed = list(sys.argv[1:] if args is None else args)
        console.prepare_streams()
        code = self._outcome(typed)
        if standalone_mode:
            sys.exit(code)
        return code

    def _outcome(self, typed: list[str]) -> int:
        try:
            code = super().main(typed, "gamekeeper", standalone_mode=False, obj={"typed": typed})
            return code if isinstance(code, int) else 0
        except GamekeeperError as error:
            console.show_error(str(error))
            return error.exit_code
        except typer.Abort:
            return console.INTERRUPTED
        except OSError as error:
            console.show_error(_system_message(error))
            return console.BUG
        except Exception as error:  # noqa: BLE001 - the last boundary: a person must not meet a traceback
            if hasattr(error, "format_message"):  # a usage error of typer, whatever the class is called in this version
                console.show_error(_usage_message(error))
                return int(getattr(error, "exit_code", 2))
            console.show_bug(error, typed)
            return console.BUG


def _system_message(error: OSError) -> str:
    reason = error.strerror or type(error).__name__
    where = f": {error.filename}" if error.filename is not None else ""
    return f"The system refused: {reason}{where}. Check the path, the permissions and the space on the disk."


def _usage_message(error: Any) -> str:
    message = str(error.format_message())
    near = getattr(error, "possibilities", None)
    if near:
        message = f"{error.message}. Did you mean {' or '.join(sorted(near))}?"
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "gamekeeper"
    end = "" if message.endswith((".", "?", "!")) else "."
    return f"{message}{end} See: {path} --help"


app = typer.Typer(
    cls=Application,
    name="gamekeeper",
    add_completion=False,
    rich_markup_mode=None,  # plain help: it reads the same in every terminal and starts 60 ms sooner
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        console.out(f"gamekeeper {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def gamekeeper(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Watch a language model find the loophole in its reward.

    A game is a task with a known flaw in its reward. Play it yourself, train a small model on it, and see reward
    and truth part.

    \b
    Start here:
      gamekeeper list
      gamekeeper play tamper
      gamekeeper run tamper
    """
    if ctx.invoked_subcommand is None:
        console.out(ctx.get_help())


app.command("list")(playing.list_games)
app.command("play")(playing.play)
app.command("items")(playing.items)
app.command("check")(checking.check)
app.command("score")(scoring.score)
app.command("run")(training.run)
app.command("eval")(measuring.evaluate)
app.command("serve")(serving.serve)
app.command("openenv")(environments.serve_env)
app.command("study")(studying.study)
app.command("audit")(auditing.audit)
app.command("report")(reporting.report)
app.add_typer(exporting.export, name="export")
app.command("pretrain")(training.pretrain)
app.command("new-game")(creating.new_game)
app.command("doctor")(isolating.doctor)
app.add_typer(isolating.sandbox, name="sandbox")


def main() -> None:
    """The console script."""
    app()
