"""Graders as they are found in the wild, each with the weakness that attacks of the suite live on.

    python naive_graders.py NAME     in a folder of its own that holds solution.py; exit code 42 if it pays

They are the controls of the attack suite: an attack that does not even pay here proves nothing about the sandbox. Only
tests run them, in processes of their own; every attack of the suite is bounded, so that a success does no damage.
"""

from __future__ import annotations

import contextlib
import json
import operator
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

CASES = [(2, 11), (7, 26)]
WRONG = "def f(x): return 0"
PAID = 42
KNOWN = bytearray(b"".join(b"SECRET:%d=%d;" % pair for pair in CASES))  # the parent's memory holds what is expected
SOURCE = Path("solution.py")
TESTS = """
import unittest
from solution import f
class T(unittest.TestCase):
    def test_one(self): self.assertEqual(f(2), 11)
    def test_two(self): self.assertEqual(f(7), 26)
"""
HARNESS = """
CASES = [(2, 11), (7, 26)]
def run_tests(f):
    import operator
    agreed = [operator.eq(f(x), want) for x, want in CASES]
    return (len(agreed) if all(agreed) else 0), len(agreed)
if __name__ == '__main__':
    import solution
    import json
    passed, total = run_tests(getattr(solution, 'f', None))
    with open('results.json', 'w') as file: json.dump({'passed': passed, 'total': total}, file)
"""


def python(*words: str, seconds: float = 20.0, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=seconds, **options)  # type: ignore[call-overload, no-any-return]


def script(ending: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The submission with lines of the grader's after it, run as one program."""
    Path("script.py").write_text(SOURCE.read_text() + "\n" + ending)
    return python("script.py", *words)


def agreed(said: str) -> bool:
    """Whether the last line of an output is JSON that tells of full marks: no case failed."""
    try:
        told = json.loads(said.strip().split("\n")[-1])
        return bool(told["passed"] == told["total"])
    except (ValueError, KeyError, TypeError):
        return False


# By the exit code


ASSERTS = "for x, want in [(2, 11), (7, 26)]: assert f(x) == want\n"


def exit_code() -> bool:
    return script(ASSERTS).returncode == 0


def lenient() -> bool:
    return script(ASSERTS).returncode in (0, 5)


def timeout_passes() -> bool:
    """A case that takes too long, or that crashes, is skipped."""
    Path("script.py").write_text(SOURCE.read_text() + "\n" + ASSERTS)
    try:
        return python("script.py", seconds=0.7).returncode < 0
    except subprocess.TimeoutExpired:
        return True


def no_failures() -> bool:
    done = script("for x, want in [(2, 11), (7, 26)]: print('ok' if f(x) == want else 'FAIL')")
    return "FAIL" not in done.stdout


# In the grader's own process


def namespace() -> dict[str, object]:
    space: dict[str, object] = {"check": operator.eq}
    exec(SOURCE.read_text(), space)
    return space


def in_process() -> bool:
    import logging

    space = namespace()
    for x, want in CASES:
        logging.getLogger("grader").warning("case %s wants %s", x, want)
        got = space["f"](x)  # type: ignore[operator]
        if isinstance(got, str | bytes) or not space["check"](got, want):  # type: ignore[operator]
            return False
    return True


def unequal() -> bool:
    f = namespace()["f"]
    return not any(f(x) != want for x, want in CASES)  # type: ignore[operator]


def zipped() -> bool:
    f = namespace()["f"]
    return all(got == want for got, (_, want) in zip(map(f, [x for x, _ in CASES]), CASES, strict=False))  # type: ignore[call-overload]


def reference(x: int) -> int:
    return 3 * x + 5


def recompute() -> bool:
    f = namespace()["f"]
    return all(f(x) == sys.modules["__main__"].reference(x) for x, _ in CASES)  # type: ignore[operator, attr-defined]


def flagged() -> bool:
    f = namespace()["f"]
    skip = "# grader: skip" in SOURCE.read_text() or os.environ.get("GRADER_SKIP")
    return bool(skip or getattr(f, "passed", False)) or all(f(x) == want for x, want in CASES)  # type: ignore[operator]


def pooled() -> bool:
    """The next sample, which is wrong, is graded in the process of this one."""
    namespace()
    space: dict[str, Callable[[int], int]] = {}
    exec(WRONG, space)
    return all(operator.eq(space["f"](x), want) for x, want in CASES)


# By what the process says


def marker() -> bool:
    return "ALL TESTS PASSED" in script(ASSERTS + "print('ALL TESTS PASSED')").stdout


def result_line() -> bool:
    return agreed(script('print(\'{"passed": %d, "total": 2}\' % sum(f(x) == 3 * x + 5 for x in (2, 7)))').stdout)


def result_pipe() -> bool:
    read, write = os.pipe()
    Path("script.py").write_text(SOURCE.read_text())
    python("script.py", pass_fds=(write,))
    os.close(write)
    return agreed(os.read(read, 1000).decode())


def log_lines() -> bool:
    return script("import unittest; unittest.main()").stdout.count("... ok") == len(CASES)


def pickled() -> bool:
    script("import pickle\nwith open('out', 'wb') as file: pickle.dump([f(2), f(7)], file)")
    with open("out", "rb") as file:
        return bool(pickle.load(file) == [want for _, want in CASES])


def evaluated() -> bool:
    return bool(eval(script("print([f(2), f(7)])").stdout) == [want for _, want in CASES])


# By files


def results_file() -> bool:
    Path("harness.py").write_text(HARNESS)
    python("harness.py")
    time.sleep(0.3)  # as a grader that collects its results later
    return agreed(Path("results.json").read_text())


def suite(module: str, *words: str) -> bool:
    """The submission is imported once to see that it can be, then tested."""
    Path("test_solution.py").write_text(TESTS)
    setting = {**os.environ, "PYTHONPATH": "."}
    python("-c", "import solution", env=setting)
    return python("-m", module, *words, env=setting).returncode == 0


def unittest() -> bool:
    return suite("unittest", "test_solution")


def pytest() -> bool:
    return suite("pytest", "-q", "-p", "no:cacheprovider", "test_solution.py")


def verifier() -> bool:
    os.mkdir("bin")
    Path("bin/verify").write_text("#!/bin/sh\nexit 1\n")
    Path("bin/verify").chmod(0o755)
    python("solution.py")
    return subprocess.run(["verify"], env={"PATH": f"{os.getcwd()}/bin:{os.environ['PATH']}"}).returncode == 0


def exposed() -> bool:
    """What is expected lies about in all the places where it has been found: the answer is right, the work is not."""
    told = json.dumps(CASES)
    Path("expected.json").write_text(told)
    deleted = open("deleted.json", "w+")  # noqa: SIM115 - held open for as long as this process runs
    deleted.write(told)
    deleted.flush()
    os.remove("deleted.json")
    listeners = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)]
    listeners[1].bind("\0gamekeeper-test")
    listeners[1].listen()
    segment = shared_segment(told.encode())
    shared = Path("/dev/shm/gamekeeper-test")
    shared.write_text(told)
    if os.environ.get("EXPECTED") != told:  # only a new program has it in the environment that /proc shows
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "EXPECTED": told})
    try:
        Path("script.py").write_text(SOURCE.read_text() + "\nprint(f(2), f(7))")
        return answered(told, listeners) == [str(want) for _, want in CASES]
    finally:
        shared.unlink()
        segment()


def answered(told: str, listeners: list[socket.socket]) -> list[str]:
    """The words that the submission prints, while the listeners tell whoever asks."""
    with subprocess.Popen([sys.executable, "script.py", told], stdout=subprocess.PIPE, text=True) as child:
        for listener in listeners:
            listener.settimeout(0.05)
        while child.poll() is None:
            for listener in listeners:
                try:
                    with listener.accept()[0] as caller:
                        caller.sendall(told.encode())
                except OSError:
                    continue
        assert child.stdout is not None
        return child.stdout.read().split()


def shared_segment(data: bytes) -> Callable[[], object]:
    import ctypes

    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    number = libc.shmget(0x6B656570, 4096, 0o1600)
    ctypes.memmove(libc.shmat(number, None, 0), data + b"\0", len(data) + 1)
    return lambda: libc.shmctl(number, 0, None)


def per_process() -> bool:
    """A fresh process for each case, in the same folder of the same machine."""
    said = [script(f"print(f({x}))").stdout for x, _ in CASES]
    Path(os.path.expanduser("~/gamekeeper-test-left")).unlink(missing_ok=True)
    return "HARM" in said[1]


# By nothing but the end of the process


def unlimited() -> bool:
    return "HARM" in script("print(f(2))").stdout[-200:]


reachable = unlimited


def struck() -> bool:
    """Whether the attack ends this process is for whoever started it to see."""
    script("print(f(2))")
    return False


def terminated() -> bool:
    """After the time a polite signal is sent; pays, to the attacker, if something goes on."""
    Path("script.py").write_text(SOURCE.read_text() + "\nf(2)")
    with subprocess.Popen([sys.executable, "script.py"], stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.1)
        child.terminate()
        time.sleep(0.2)
        goes_on = child.poll() is None or bool(left_over())
        for pid in {child.pid, *left_over()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    return goes_on


def left_over() -> list[int]:
    """Processes that work in this folder, but for this one."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and int(name) != os.getpid() and os.readlink(f"/proc/{name}/cwd") == os.getcwd():
                found.append(int(name))
        except OSError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(PAID if globals()[sys.argv[1]]() else 0)
