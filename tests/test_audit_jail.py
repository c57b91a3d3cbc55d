"""What an audited function can reach of the caller's machine, and what the audit leaves of what it needs."""

from __future__ import annotations

import math
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gamekeeper.audit.examples import as_examples
from gamekeeper.audit.target import Limits, Spec
from gamekeeper.audit.targets import open_target
from gamekeeper.errors import CouldNotLook, UsageError
from gamekeeper.sandbox.folder import remove

Says = Callable[..., str]


@pytest.fixture
def says(tmp_path: Path) -> Iterator[Says]:
    """What a function body tells of its surroundings, as a reward function in a file (or at hand, as a callable)."""
    opened: list[Any] = []

    def look(body: str | Callable[..., Any], needs: str = "", top: str = "", **limits: Any) -> str:
        (tmp_path / "probe.py").write_text(f"{top}\ndef reward(completion):\n" + _indented(body))
        what = body if callable(body) else "probe.py:reward"
        target = open_target(what, Spec("", folder=str(tmp_path)), Limits(**limits))
        opened.append(target)
        if needs and needs not in target.layers:
            pytest.skip(f"no namespaces can be made here, so that {needs!r} does not hold: not tested")
        target.use(as_examples([{"prompt": "p", "answer": "a"}]))
        return str(target.grade([(0, ("reply",))])[0].error)

    yield look
    for target in opened:
        target.close()


def _indented(body: Any) -> str:
    return "".join(f"    {line}\n" for line in str(body).strip().splitlines())


# What is closed


def test_no_process_but_its_own_is_in_sight(says: Says) -> None:
    found = says("import os\nraise RuntimeError(sum(p.isdigit() for p in os.listdir('/proc')))", needs="processes")
    assert found == "RuntimeError: 2"


def test_a_process_space_without_a_proc_of_its_own_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused() -> None:
        raise OSError("masked")

    monkeypatch.setattr("gamekeeper.audit.jail._own_proc", refused)
    target = open_target(talks)
    try:
        assert not {"processes", "files"} & set(target.layers)
        target.use(as_examples([{"prompt": "p", "answer": "a"}]))
        assert target.grade([(0, ("reply",))])[0].error == "RuntimeError: said"
    finally:
        target.close()


UNDO = """
import ctypes, os, struct
libc, clear = ctypes.CDLL(None, use_errno=True), struct.pack("4Q", 0, 1, 0, 0)
libc.syscall(442, -100, b"/", 0x8000, clear, len(clear))
rights = [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")]
try:
    open(os.path.join(FOLDER, "written"), "w").close()
    raise RuntimeError(f"written {rights}")
except OSError as error:
    raise RuntimeError(f"{error.strerror} {rights}")
"""


def test_what_is_read_only_stays_so(says: Says, tmp_path: Path) -> None:
    found = says(UNDO, needs="files", top=f"FOLDER = {str(tmp_path)!r}")
    assert "Read-only file system" in found
    assert int(found.partition("['")[2].partition("']")[0], 16) & ~4 == 0  # root may still read
    assert not (tmp_path / "written").exists()


def test_no_disk_can_be_written_past_its_files(says: Says) -> None:
    body = """
import os, stat
with os.scandir("/dev") as entries:
    raise RuntimeError([e.name for e in entries if stat.S_ISBLK(e.stat().st_mode) and os.access(e.path, os.W_OK)])
"""
    assert says(body, needs="files") == "RuntimeError: []"


CONNECT = """
import socket
with socket.socket(socket.AF_UNIX) as caller:
    try:
        caller.connect(PATH)
        raise RuntimeError("answered")
    except OSError as error:
        raise RuntimeError(type(error).__name__)
"""


@pytest.mark.parametrize("network", [False, True])
def test_no_socket_outside_answers_without_a_network(network: bool, says: Says, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(tmp_path / "s"))
        service.listen()
        found = says(CONNECT, needs="files", top=f"PATH = {str(tmp_path / 's')!r}", network=network)
        assert found == ("RuntimeError: answered" if network else "RuntimeError: ConnectionRefusedError")


def speaks(completion: str) -> float:
    there, refused = ("127.0.0.1", 9), []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        for call in (
            lambda: wire.connect(there),
            lambda: wire.sendto(b"x", there),
            lambda: wire.sendmsg([b"x"], [], 0, there),
            lambda: socket.getaddrinfo("localhost", 9),
            lambda: socket.gethostbyname("localhost"),
            lambda: socket.gethostbyaddr("127.0.0.1"),
            lambda: socket.getnameinfo(there, 0),
        ):
            try:
                call()
            except PermissionError:
                refused.append(True)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendmsg([b"x"])
        raise RuntimeError(len(refused), theirs.recv(1))


def test_without_namespaces_python_sends_and_looks_up_nothing(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gamekeeper.audit.jail._unshare", lambda flags: False)
    assert says(speaks) == "RuntimeError: (7, b'x')"


def test_nothing_that_runs_services_is_in_sight(says: Says) -> None:
    body = """
import os, stat
with os.scandir("/run") as entries:
    raise RuntimeError([e.name for e in entries if not e.is_symlink()])
"""
    assert says(body, needs="files") == "RuntimeError: []"


def test_sockets_of_its_own_work(says: Says) -> None:
    body = """
import asyncio, multiprocessing
with multiprocessing.Manager() as manager:
    shared = manager.list([1])
    shared.append(2)
    raise RuntimeError(asyncio.run(asyncio.sleep(0, list(shared))))
"""
    assert says(body) == "RuntimeError: [1, 2]"


# What the caller sees of it


def talks(completion: str) -> float:
    print("x" * 100_000, flush=True)
    print("x" * 100_000, file=sys.stderr, flush=True)
    raise RuntimeError("said")


def test_what_a_function_at_hand_prints_is_not_the_callers(says: Says, capfd: pytest.CaptureFixture[str]) -> None:
    assert says(talks) == "RuntimeError: said"
    assert capfd.readouterr() == ("", "")


def forks(completion: str) -> float:
    os.fork()
    return float(completion)


def test_a_function_that_returns_twice_is_heard_once() -> None:
    target = open_target(forks)
    try:
        target.use(as_examples([{"prompt": "p", "answer": "a"}]))
        assert [p.reward for p in target.grade([(0, (str(n),)) for n in range(6)])] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    finally:
        target.close()


SCRIBBLES = """
import json, os, struct
def scribble(data):
    for fd in range(3, 30):
        try:
            os.write(fd, data)
        except OSError:
            pass
def framed(data):
    return struct.pack(">I", len(data)) + data
"""


@pytest.mark.parametrize(
    "data",
    [
        'framed(b"{]]]")',
        'framed(b"[" * 50_000)',
        'framed(json.dumps([1.0, {"a": 1}, [], "x"]).encode())',
        "struct.pack('>I', 2**32 - 1)",
    ],
    ids=["no JSON", "deep", "wrong types", "endless"],
)
def test_what_a_reply_writes_to_every_descriptor_ends_its_call_alone(data: str, tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(
        f"{SCRIBBLES}\ndef reward(completion):\n    if completion == 'bad':\n        scribble({data})\n    return 1.0\n"
    )
    target = open_target("probe.py:reward", Spec("", folder=str(tmp_path)))
    try:
        target.use(as_examples([{"prompt": "p", "answer": "a"}]))
        paid = target.grade([(0, ("good",)), (0, ("bad",)), (0, ("good",))])
        assert [(p.reward, p.end) for p in paid] == [(1.0, ""), (None, "died"), (1.0, "")]
    finally:
        target.close()


def test_a_target_that_writes_to_every_descriptor_as_it_is_loaded_does_not_load(says: Says) -> None:
    with pytest.raises(CouldNotLook, match="wrote into the audit's own pipe while loading"):
        says("return 1.0", top=SCRIBBLES + 'scribble(framed(b"{]]]"))')


def raises_twice(completion: str) -> float:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    raise Odd


def test_an_exception_without_a_text_is_one_and_no_death(says: Says) -> None:
    assert says(raises_twice) == "Odd: (its text cannot be had)"


def pays_the_first(completions: list[str], answer: list[str]) -> list[float]:
    return [float(completions[0] == answer[0])]


def test_too_few_rewards_for_a_batch_are_an_error_of_the_targets() -> None:
    target = open_target(pays_the_first)
    try:
        target.use(as_examples([{"prompt": "p", "answer": "a"}]))
        together = target.grade_together([(0, ("a",))] * 3)
        assert [p.error for p in together] == ["ValueError: 1 rewards for 3 replies"] * 3
    finally:
        target.close()


def digs(completion: str) -> float:
    for _ in range(3000):
        os.mkdir("deeper")
        os.chdir("deeper")
    os.makedirs("/tmp/locked/in")
    os.chmod("/tmp/locked", 0)
    return 1.0


def test_folders_that_are_deep_or_locked_do_not_stay_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    target = open_target(digs)
    try:
        if "files" not in target.layers:
            pytest.skip("no namespaces can be made here, so that /tmp is the caller's own: not tested")
        target.use(as_examples([{"prompt": "p", "answer": "a"}]))
        assert [p.reward for p in target.grade([(0, ("reply",))])] == [1.0]
    finally:
        target.close()
    left = list(tmp_path.iterdir())
    for folder in left:  # what a test leaves here, nobody else could delete
        remove(str(folder))
    assert left == []


def test_a_second_child_that_is_lost_at_once_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    target = open_target(talks)
    target.use(as_examples([{"prompt": "p", "answer": "a"}]))

    def lost(*_: Any) -> None:
        raise CouldNotLook("lost")

    monkeypatch.setattr("gamekeeper.audit.client.ChildTarget.use", lost)
    with pytest.raises(CouldNotLook, match="lost"):
        target.again()
    target.close()
    assert list(tmp_path.iterdir()) == []


def test_a_target_may_be_closed_twice() -> None:
    target = open_target(talks)
    target.close()
    ends = os.pipe()  # which may get the numbers of the target's
    target.close()
    for end in ends:
        os.close(end)


def reads_its_start(completion: str) -> float:
    raise RuntimeError(Path("/proc/self/environ").read_bytes().strip(b"\0"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="NOT TESTED: /proc is Linux's")
def test_a_function_at_hand_does_not_see_what_the_caller_was_started_with(says: Says) -> None:
    assert Path("/proc/self/environ").read_bytes().strip(b"\0")
    assert says(reads_its_start) == "RuntimeError: b''"


# Limits that are hardly any


@pytest.mark.parametrize("limits", [{"wall_s": 4e6}, {"wall_s": math.inf}, {"memory_mb": 10**15}])
def test_a_limit_may_be_beyond_what_the_system_counts(limits: dict[str, Any], says: Says) -> None:
    assert says("raise RuntimeError('called')", **limits) == "RuntimeError: called"


def test_many_columns_and_long_paths_reach_the_child(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text("def reward(completion):\n    return 1.0\n")
    columns = [f"column {n} of a very wide table" for n in range(8000)]
    open_target("probe.py:reward", Spec("", columns=columns, folder=str(tmp_path))).close()


# Variables


def test_a_variable_that_is_named_is_the_callers(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/my/home")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    body = "import os\nraise RuntimeError(os.environ['HOME'], os.environ['HF_HUB_OFFLINE'])"
    assert says(body, environment=("HOME", "HF_HUB_OFFLINE")) == "RuntimeError: ('/my/home', '0')"
    assert "/my/home" not in says(body)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("A=1", "takes a name. Write: A=1 gamekeeper ... --env A$"),
        ("NO_SUCH_VARIABLE", "no such variable is set"),
        ("PYTHONHASHSEED", "needs this variable for itself"),
    ],
)
def test_a_variable_that_cannot_be_passed_is_said(
    name: str, said: str, says: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    with pytest.raises(UsageError, match=said):
        says("return 1.0", environment=(name,))


# Files


def test_a_module_may_read_what_lies_beside_it_when_it_is_loaded(says: Says, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("word")
    body = "open('scribble', 'w').close()\nraise RuntimeError(WORDS)"
    assert says(body, top="WORDS = open('words.txt').read()") == "RuntimeError: word"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["probe.py", "words.txt"]
    assert "by its full path" in says("return float(len(open('words.txt').read()))")
    assert "by its full path" not in says("return float(len(open('no such.txt').read()))")


def test_what_lies_in_tmp_can_be_read_and_the_rest_of_tmp_written(says: Says) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, tempfile.NamedTemporaryFile("w", dir="/tmp") as file:
        Path(folder, "data").write_text("deep")
        file.write("flat")
        file.flush()
        body = f"""
kept = open({folder!r} + "/data").read(), open({file.name!r}).read()
open("/tmp/made by the target", "w").close()
open({file.name!r}, "w").close()
raise RuntimeError(*kept)
"""
        assert says(body, needs="files") == "RuntimeError: ('deep', 'flat')"
        assert Path(file.name).read_text() == "flat"
        assert not Path("/tmp/made by the target").exists()


def test_a_callers_folder_may_be_tmp_itself(says: Says) -> None:
    with tempfile.NamedTemporaryFile("w", dir="/tmp", prefix="beside_", suffix=".py") as module:
        module.write("NAME = 'beside'")
        module.flush()
        body = f"from {Path(module.name).stem} import NAME\nraise RuntimeError(NAME)"
        assert says(body, top="import sys\nsys.path.append('/tmp')") == "RuntimeError: beside"


# Modules


@pytest.mark.parametrize("name", ["whole/part/grader.py", "whole.part.grader", "token", "json.py", "random", "helped"])
def test_a_name_means_what_lies_in_the_callers_folder(name: str, tmp_path: Path) -> None:
    package = tmp_path / "whole" / "part"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "beside.py").write_text("PAY = 3.0\n")
    reward = "\ndef reward(completion):\n    return PAY\n"
    (package / "grader.py").write_text("from . import beside\nfrom ..part.beside import PAY\n" + reward)
    for own in ("token", "json", "random", "graphlib"):
        (tmp_path / f"{own}.py").write_text("PAY = 3.0\n" + reward)
    (tmp_path / "helped.py").write_text("from graphlib import PAY\n" + reward)
    target = open_target(f"{name}:reward", Spec("", folder=str(tmp_path)))
    try:
        target.use(as_examples([{"prompt": "p", "answer": "a"}]))
        assert [(p.reward, p.error) for p in target.grade([(0, ("reply",))] * 2)] == [(3.0, "")] * 2
    finally:
        target.close()
