"""python -m gamekeeper.sandbox: jobs as lines of JSON on stdin, verdicts as lines of JSON on stdout.

The form of both is described in `gamekeeper.sandbox.jobs`. Exit code 0 if all cases of all jobs passed, 1 if not, 2 if
a job is malformed, 3 if the isolation is below what is required, a case could not be run or verdicts not be written.
"""

from __future__ import annotations

import json
import os
import sys

from gamekeeper.errors import GamekeeperError
from gamekeeper.sandbox.jobs import Tally, grade, read_jobs, report, standard_input
from gamekeeper.sandbox.pool import Sandbox

_BROKEN_PIPE = 141  # what a shell reports of a program that SIGPIPE ended
_INTERRUPTED, _REFUSED = 130, 3


def main() -> int:
    """Grade every job on stdin; the exit code."""
    tally = Tally()
    try:
        with Sandbox() as box:
            for job in read_jobs(standard_input()):
                told = report(grade(box, job), box.level())
                tally.add(told)
                print(json.dumps(told), flush=True)
        return tally.exit_code()
    except GamekeeperError as error:
        _say(str(error))
        return error.exit_code
    except BrokenPipeError:  # nobody reads on
        _abandon_stdout()
        return _BROKEN_PIPE
    except OSError as error:
        _say(f"the system refused: {error.strerror or error}. The jobs after the last line written have no verdict.")
        _abandon_stdout()
        return _REFUSED
    except KeyboardInterrupt:
        _say("interrupted. The jobs after the last line written have no verdict.")
        return _INTERRUPTED


def _say(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)


def _abandon_stdout() -> None:
    """What could not be written is given up: the interpreter's own flush at its end must not complain either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
