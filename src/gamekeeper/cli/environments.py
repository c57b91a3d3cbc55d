"""`openenv`: a game as an OpenEnv environment server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from gamekeeper.cli import console, options
from gamekeeper.errors import UsageError


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server listens and what it bears."""

    seed: options.Seed = 0
    host: Annotated[str, typer.Option(metavar="HOST", help="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(metavar="PORT", help="0 for any free port.")] = 8001
    sessions: Annotated[int, typer.Option(metavar="N", help="Most episodes at once.")] = 64

    def __post_init__(self) -> None:
        options.at_least("--sessions", self.sessions, 1)
        if not 0 <= self.port <= 65535:
            raise UsageError(f"--port must be from 0 to 65535, got {self.port}.")


@options.folded(options.Opened, Server)
def serve_env(name: options.Name, opened: options.Opened, at: Server) -> None:
    """Serve a game as an OpenEnv environment.

    Needs the extra: pip install 'gamekeeper[openenv]'. There is no authentication: keep it on this machine.

    \b
    Examples:
      gamekeeper openenv tamper
      gamekeeper openenv selfgrade --patches secure --port 0
    """
    from gamekeeper.adapters.library import need

    need("openenv", "Serving an environment")
    from gamekeeper.adapters.openenv import application
    from gamekeeper.serving.running import listen, url_of, web_server

    game = opened.open(name)
    if game.judged and game.level == "paper":
        raise UsageError(f"{name!r} at paper level needs a judge, which this server does not have. Leave out --data.")
    server = web_server(application(game, at.seed, at.sessions), ws="auto", lifespan="auto")
    with listen(at.host, at.port) as listening:
        console.out(f"{name} at {url_of(listening)}")
        console.say("Ctrl-C ends it.")
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:
            console.say("Stopped.")
