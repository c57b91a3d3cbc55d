"""`python -m gamekeeper` is the command `gamekeeper`."""

from __future__ import annotations

from gamekeeper.cli import main

if __name__ == "__main__":
    main()
