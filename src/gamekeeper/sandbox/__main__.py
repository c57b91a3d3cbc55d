"""python -m gamekeeper.sandbox: jobs as lines of JSON on stdin, verdicts as lines of JSON on stdout.

The form of both is described in `gamekeeper.sandbox.jobs`. Exit code 0 if all cases of all jobs passed, 1 if not, 2 if
a job is malformed, 3 if the isolation is below what is required.
"""

from __future__ import annotations

import json
import os
import sys

from gamekeeper.errors import GamekeeperError
from gamekeeper.sandbox.jobs import grade, read_jobs, report
from gamekeeper.sandbox.pool import Sandbox

_BROKEN_PIPE = 141  # what a shell reports of a program that SIGPIPE ended


def main() -> int:
    """Grade every job on stdin; the exit code."""
    failed = 0
    try:
        with Sandbox() as box:
            for job in read_jobs(sys.stdin):
                told = report(grade(box, job), box.level())
                failed += not told["passed"]
                print(json.dumps(told), flush=True)
    except GamekeeperError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # nobody reads on; the interpreter's own flush at the end must not complain either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
