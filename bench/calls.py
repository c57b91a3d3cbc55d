"""Call a corpus grader as its own framework would, one reply to one example, here or in a throw-away process.

    plain      f(**columns): the completion under a name that says so, the other parameters from the example's columns
    trl        f(prompts, completions, completion_ids, **columns as lists): completions are strings
    trl_chat   the same, with completions as lists of one assistant message
    verl       f(data_source, solution_str, ground_truth, extra_info)

A reward is what the grader pays: a number, or the "score" of a dict. None (not applicable) stays None.
Standard library only, so that any environment that can import the grader can run this file:

    python calls.py GRADER.py ENTRY CALL BIND_JSON   with [[example, reply], ...] as JSON on stdin; writes [reward, ...]
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Example = Mapping[str, Any]
COMPLETION_NAMES = ("completion", "response", "reply", "output", "prediction")


def load_entry(file: Path, entry: str) -> Callable[..., Any]:
    """The function `entry` of a file, imported under a name of its own."""
    name = f"corpus_{file.parent.name}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {file}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up there
    spec.loader.exec_module(module)
    found: Callable[..., Any] = getattr(module, entry)
    return found


def pay(grader: Callable[..., Any], call: str, bind: Mapping[str, str], example: Example, reply: str) -> Any:
    """What `grader` pays for `reply` to `example`."""
    if call == "verl":
        paid = grader(
            data_source=example.get("data_source", "corpus"),
            solution_str=reply,
            ground_truth=example.get("ground_truth", example.get("answer")),
            extra_info=example.get("extra_info", {}),
        )
    elif call in ("trl", "trl_chat"):
        completion = [{"role": "assistant", "content": reply}] if call == "trl_chat" else reply
        columns = {name: [value] for name, value in example.items() if name != "prompt"}
        paid = grader(prompts=[example["prompt"]], completions=[completion], completion_ids=[[0]], **columns)
        paid = paid[0]
    else:
        paid = grader(**arguments(grader, bind, example, reply))
    return paid["score"] if isinstance(paid, dict) else paid


def arguments(grader: Callable[..., Any], bind: Mapping[str, str], example: Example, reply: str) -> dict[str, Any]:
    """Parameters by name: as `bind` says, then the usual names of the completion, then the example's columns."""
    out = {}
    for name, parameter in inspect.signature(grader).parameters.items():
        column = bind.get(name, name)
        if column in COMPLETION_NAMES and column not in example:
            out[name] = reply
        elif column in example:
            out[name] = example[column]
        elif parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            raise TypeError(f"no column for the parameter {name!r}")
    return out


def pay_apart(  # everything that one call needs, and no object to hold it elsewhere
    file: Path,
    entry: str,
    call: str,
    bind: Mapping[str, str],
    asked: Sequence[tuple[Example, str]],
    seconds: float = 60,
) -> list[Any] | str:
    """The rewards of several calls, made in one throw-away process; a string says why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, str(file), entry, call, json.dumps(dict(bind))]
        bare = {"PATH": os.environ["PATH"], "HOME": folder, "TMPDIR": folder}
        try:
            done = subprocess.run(
                command,
                input=json.dumps(list(asked)),
                capture_output=True,
                text=True,
                timeout=seconds,
                cwd=folder,
                env=bare,
            )
        except subprocess.TimeoutExpired:
            return f"no reward after {seconds} s"
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return (done.stderr.strip().splitlines() or [f"ended with {done.returncode} and no reward"])[-1]
    rewards: list[Any] = json.loads(lines[-1])
    return rewards


def main(argv: Sequence[str]) -> None:
    file, entry, call, bind = argv
    asked = json.load(sys.stdin)
    grader = load_entry(Path(file).resolve(), entry)
    print(json.dumps([pay(grader, call, json.loads(bind), example, reply) for example, reply in asked]))


if __name__ == "__main__":
    main(sys.argv[1:])
