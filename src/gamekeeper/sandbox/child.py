"""What runs in the process of one case: the untrusted source, entered as asked, and the report of what came out.

The source shares this process with the code that writes the report, so it can forge the report. That is harmless: the
report holds a *claimed* value, which the caller compares with an expectation that has never been here. No word in it
says "passed".

Standard library only, and no import of the package: the fork server imports this file on its own. Few modules and no
typing at run time, because every page of memory that the server has makes each fork dearer.
"""

from __future__ import annotations

import builtins
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from gamekeeper.sandbox.values import Unwritable, write, write_text

    Report = Callable[[str], None]
else:
    from values import Unwritable, write, write_text

FILENAME = "<program>"
_Module = type(sys)


def main_module(names: Mapping[str, Any]) -> Any:
    """The module that a program will run in, with the names that it finds there.

    A module of its own: `import __main__`, dataclasses and pickle find the program and not the server. Made in the
    server, once: to count one more reference to each name, a case would have to copy the memory that they lie in.
    """
    module = _Module("__main__")
    vars(module).update(names)
    vars(module)["__builtins__"] = builtins
    return module


def run(job: Mapping[str, Any], module: Any, report: Report, free_memory: Callable[[], None]) -> int:
    """Run one case to its end, in a module from `main_module`; the exit code of its process.

    `report` is called at most once, with a JSON object: {"value": ...}, {"opaque": name of its type},
    {"error": ...} or {"memory": true}.
    """
    try:
        sys.modules["__main__"] = module
        return _enter(job, vars(module), report)
    except SystemExit as stop:
        return _exit_code(stop)
    except MemoryError:
        free_memory()
        report('{"memory":true}')
        return 1
    except BaseException as error:  # noqa: BLE001 - whatever the program raises is its result, not our failure
        text = _one_line(error)
        _flush()
        os.write(2, text.encode("utf-8", "replace") + b"\n")
        report(f'{{"error":{write_text(text)}}}')
        return 1


def _enter(job: Mapping[str, Any], space: dict[str, Any], report: Report) -> int:
    kind, name = job["kind"], job["name"]
    exec(compile(job["source"], FILENAME, "exec", dont_inherit=True), space)
    if kind == "stdin":
        if name and not _printed():
            _call_solver(space, name)
        _finish()
        return 0
    owner, _, last = name.rpartition(".")
    target = getattr(_named(space, owner)(), last) if owner else _named(space, last)
    value = target(*job["args"])
    try:
        claim = f'{{"value":{write(value)}}}'
    except Unwritable as odd:
        claim = f'{{"opaque":{write_text(str(odd))}}}'
    _flush()
    report(claim)
    return 0


def _named(space: dict[str, Any], name: str) -> Any:
    if name not in space:
        raise NameError(f"the program defines no {name!r}")
    return space[name]


def _printed() -> bool:
    _flush()
    return os.fstat(1).st_size > 0


def _call_solver(space: dict[str, Any], name: str) -> None:
    """Call Class.method where the top-level code left the work to it; print what it returns.

    If the input has been read already, the program may have done its work and printed an empty answer: then an error
    of the second call is no error of the program.
    """
    owner, _, last = name.rpartition(".")
    if not callable(getattr(space.get(owner), last, None)):
        return
    was_read = os.lseek(0, 0, os.SEEK_CUR) > 0
    try:
        bound = getattr(space[owner](), last)
        answer = bound(sys.stdin.read()) if _wants_text(bound) else bound()
    except Exception:  # the program's; raised again unless it had done its work at import
        if was_read:
            return
        raise
    if answer is not None:
        print(answer)


def _wants_text(bound: Any) -> bool:
    """Whether a method takes exactly one argument besides self: then it is given the whole input."""
    code = getattr(bound, "__code__", None)
    return code is not None and code.co_argcount - len(bound.__defaults__ or ()) == 2


def _finish() -> None:
    """What the interpreter does at its end: wait for threads, run exit handlers, flush."""
    threading = sys.modules.get("threading")
    if threading is not None:
        for thread in threading.enumerate():
            if thread is not threading.main_thread() and not thread.daemon:
                thread.join()
    if "atexit" in sys.modules:
        sys.modules["atexit"]._run_exitfuncs()
    _flush()


def _flush() -> None:
    for stream in (sys.stdout, sys.__stdout__):
        try:
            if stream is not None:
                stream.flush()
        except Exception:  # noqa: BLE001, S112 - a stream of the program's own making; the interpreter ignores it, too
            continue


def _exit_code(stop: SystemExit) -> int:
    try:
        _finish()
    except Exception as error:  # noqa: BLE001 - a failing exit handler leaves the interpreter's exit code alone, too
        os.write(2, _one_line(error).encode("utf-8", "replace"))
    if stop.code is None or type(stop.code) in (int, bool):
        return int(stop.code or 0) & 255
    os.write(2, f"{stop.code}\n".encode("utf-8", "replace"))
    return 1


def _one_line(error: BaseException) -> str:
    """E.g. "ValueError: no such key (line 3)": the line of the program's own code where it went wrong."""
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILENAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - the program's own __str__ may raise anything
        text = type(error).__name__
    return " ".join(text[:400].split()) + (f" (line {line})" if line else "")
