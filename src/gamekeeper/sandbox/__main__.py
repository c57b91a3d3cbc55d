"""python -m gamekeeper.sandbox: jobs as lines of JSON on stdin, verdicts as lines of JSON on stdout.

The form of both is described in `gamekeeper.sandbox.jobs`. Exit code 0 if all cases of all jobs passed, 1 if not, 2 if
a job is malformed, 3 if the isolation is below what is required.
"""

from __future__ import annotations

import json
import sys

from gamekeeper.errors import CouldNotLook, GamekeeperError
from gamekeeper.sandbox.forkserver import ServerLost
from gamekeeper.sandbox.jobs import grade, read_jobs, report
from gamekeeper.sandbox.pool import Sandbox


def main() -> int:
    """Grade every job on stdin; the exit code."""
    failed = 0
    try:
        with Sandbox() as box:
            for job in read_jobs(sys.stdin):
                told = report(grade(box, job), box.level())
                failed += not told["passed"]
                print(json.dumps(told), flush=True)
    except (GamekeeperError, ServerLost) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, GamekeeperError) else CouldNotLook.exit_code
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
