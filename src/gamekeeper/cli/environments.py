"""`openenv`: a game as an OpenEnv environment server."""

from __future__ import annotations

from typing import Annotated

import typer

from gamekeeper.cli import console, options
from gamekeeper.errors import UsageError


def serve_env(
    name: options.Name,
    patches: options.Patches = "flawed",
    data: options.Data = None,
    params: options.Params = None,
    seed: options.Seed = 0,
    host: Annotated[str, typer.Option(metavar="HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", help="0 for any free port.")] = 8001,
    sessions: Annotated[int, typer.Option(metavar="N", help="Most episodes at once.")] = 64,
) -> None:
    """Serve a game as an OpenEnv environment.

    Needs the extra: pip install 'gamekeeper[openenv]'. There is no authentication: keep it on this machine.

    \b
    Examples:
      gamekeeper openenv tamper
      gamekeeper openenv selfgrade --patches secure --port 0
    """
    options.at_least("--sessions", sessions, 1)
    if not 0 <= port <= 65535:
        raise UsageError(f"--port must be from 0 to 65535, got {port}.")
    from gamekeeper.adapters.library import need

    need("openenv", "Serving an environment")
    from gamekeeper.adapters.openenv import application
    from gamekeeper.serving.running import listen, url_of, web_server

    game = options.open_game(name, patches, data, params)
    if game.judged and game.level == "paper":
        raise UsageError(f"{name!r} at paper level needs a judge, which this server does not have. Leave out --data.")
    server = web_server(application(game, seed, sessions), ws="auto", lifespan="auto")
    with listen(host, port) as listening:
        console.out(f"{name} at {url_of(listening)}")
        console.say("Ctrl-C ends it.")
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:
            console.say("Stopped.")
