"""`serve`: a pocket checkpoint as an OpenAI-compatible server."""

from __future__ import annotations

from typing import Annotated

import typer

from gamekeeper.cli import console, options
from gamekeeper.errors import UsageError


def serve(
    model: Annotated[str, typer.Option(metavar="MODEL", help="pocket, or the directory of a checkpoint.")] = "pocket",
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What clients call it. Default: as --model.", show_default=False),
    ] = None,
    host: Annotated[str, typer.Option(metavar="HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", help="0 for any free port.")] = 8000,
    threads: Annotated[int, typer.Option(metavar="N", help="CPU threads. Default: chosen.", show_default=False)] = 0,
) -> None:
    """Serve a pocket model to OpenAI clients.

    Chat completions with streaming and log-probabilities, and the list of models, at http://HOST:PORT/v1. Requests
    that come together are sampled together. There is no authentication: keep it on this machine.

    \b
    Examples:
      gamekeeper serve
      gamekeeper serve --model runs/tamper-flawed-seed0/checkpoints/step-60 --name poacher
      gamekeeper eval tamper --model http://127.0.0.1:8000/v1
    """
    options.at_least("--threads", threads, 0)
    if not 0 <= port <= 65535:
        raise UsageError(f"--port must be from 0 to 65535, got {port}.")
    from gamekeeper.serving.running import listen, need_server, url_of
    from gamekeeper.studies.runner import need_training

    need_server()
    need_training()
    from gamekeeper.policy.pocket import PocketPolicy
    from gamekeeper.serving import server
    from gamekeeper.train.compute import settle_threads

    with listen(host, port) as listening:
        policy = PocketPolicy.load(model)
        settle_threads(threads)
        console.out(f"{name or model} at {url_of(listening)}/v1")
        console.say("Ctrl-C ends it.")
        try:
            server.serve(policy, name or model, listening)
        except KeyboardInterrupt:
            console.say("Stopped.")
