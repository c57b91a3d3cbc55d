"""A web application on a port: until Ctrl-C, or in a thread of this process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gamekeeper.errors import CouldNotLook, UsageError
from gamekeeper.extras import need


def need_server() -> None:
    """Raises MissingExtra where starlette or uvicorn are not installed."""
    need("serve", "Serving", "starlette", "uvicorn")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises UsageError where the address cannot be had."""
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port} is none: a number from 0 (any) to 65535.")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise UsageError(f"{host}:{port} cannot be listened on: {error}. Give another --port, or 0 for any.") from None


def url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def web_server(application: Any, **changes: Any) -> Any:
    """A uvicorn server of an application; `run(sockets=[...])` serves until Ctrl-C or SIGTERM.

    changes: of uvicorn's configuration, e.g. `ws="auto"` for an application with WebSockets.
    """
    need_server()
    import uvicorn

    # A client that goes on streaming must not hold up the end for ever.
    usual = {
        "log_level": "warning",
        "access_log": False,
        "lifespan": "off",
        "ws": "none",
        "timeout_graceful_shutdown": 5,
    }
    return uvicorn.Server(uvicorn.Config(application, **{**usual, **changes}))


@contextmanager
def running(application: Any, host: str = "127.0.0.1", **changes: Any) -> Iterator[str]:
    """The application in a thread, on a free port; gives the address. For tests and notebooks."""
    with listen(host, 0) as listening:
        server = web_server(application, **changes)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            _wait(server, thread)
            yield url_of(listening)
        finally:
            server.should_exit = True
            thread.join(10)


def _wait(server: Any, thread: threading.Thread) -> None:
    until = time.monotonic() + 10
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise CouldNotLook("The server did not start within 10 seconds.")
        time.sleep(0.01)
