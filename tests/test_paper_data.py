"""The parquet reader: right rows, bounded memory, and a DataError with a next step for every way a file can be bad."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamekeeper.errors import DataError
from gamekeeper.games.paper_data import messages_of, read_rows, text_at
from gamekeeper.types import Message

ROWS = [
    {"prompt": [{"role": "user", "content": f"ask {n}"}], "number": n, "truth": {"text": str(n)}} for n in range(200)
]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=70)
    return path


def said(path: Path, *columns: str, limit: int = -1) -> str:
    with pytest.raises(DataError) as caught:
        list(read_rows(path, columns or ("prompt",), limit))
    return str(caught.value)


def test_rows_come_in_order_with_the_asked_columns_only(table: Path) -> None:
    assert list(read_rows(table, ["number", "truth"])) == [{k: r[k] for k in ("number", "truth")} for r in ROWS]


@pytest.mark.parametrize(
    ("limit", "expected"), [(0, 0), (1, 1), (64, 64), (65, 65), (70, 70), (71, 71), (500, 200), (-1, 200)]
)
def test_limit_counts_rows_across_batches_and_row_groups(table: Path, limit: int, expected: int) -> None:
    assert [r["number"] for r in read_rows(table, ["number"], limit)] == list(range(expected))


def test_nested_values_and_nulls_are_plain_python(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"a": {"b": ["x", None]}}, {"a": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "n.parquet")
    assert list(read_rows(tmp_path / "n.parquet", ["a"])) == rows


@given(st.lists(st.text(), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_any_text_comes_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    texts = [t.encode("utf-8", "replace").decode() for t in texts]
    path = tmp_path_factory.mktemp("t") / "t.parquet"
    pq.write_table(pa.table({"t": texts}), path)
    assert [r["t"] for r in read_rows(path, ["t"])] == texts


PEAK = """
import sys
from pathlib import Path
from gamekeeper.games.paper_data import read_rows

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

first = next(read_rows(Path(sys.argv[1]), ["small"]))  # whatever the libraries themselves take
before = peak()
read = sum(len(row["text"]) for row in read_rows(Path(sys.argv[1]), ["text"]))
print(read, (peak() - before) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc: Linux alone")
def test_memory_stays_bounded_whatever_the_size(tmp_path: Path) -> None:
    """160 MB in one row group of pages of about 1 MB; reading holds a few, in a process that does nothing else."""
    rows, size = 4000, 40_000
    path = tmp_path / "large.parquet"
    schema = pa.schema([("text", pa.string()), ("small", pa.int64())])
    with pq.ParquetWriter(path, schema, use_dictionary=False, compression="none", write_batch_size=16) as writer:
        texts = [os.urandom(size // 2).hex()] * rows
        writer.write_table(pa.table({"text": texts, "small": [0] * rows}, schema), row_group_size=rows)
    assert path.stat().st_size > rows * size
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    path.unlink()  # pytest keeps the folders of its last runs
    read, megabytes = map(int, done.stdout.split())
    assert read == rows * size
    assert megabytes < 100


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "does not exist" in said(tmp_path / "gone.parquet")
    assert "Give the path of a parquet file" in said(tmp_path / "gone.parquet")


def test_a_folder_is_refused_and_its_parquet_files_offered(tmp_path: Path, table: Path) -> None:
    assert "is a folder" in said(tmp_path)
    assert "holds none" in said(tmp_path)
    assert "e.g. rows.parquet" in said(table.parent)


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    found: list[str] = []
    worker = threading.Thread(target=lambda: found.append(said(tmp_path / "pipe")), daemon=True)
    worker.start()
    worker.join(10)
    assert found
    assert "not a regular file" in found[0]


@pytest.mark.parametrize("name", ["nul\x00byte", "x" * 5000])
def test_an_impossible_path_is_refused(name: str) -> None:
    assert "parquet file" in said(Path(name))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"a,b\n1,2\n", b"PAR1" + b"\x00" * 50 + b"PAR1", b"\x80\x04\x95"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    assert "cannot be read as a parquet file" in said(tmp_path / "x.parquet")
    assert "Fetch it again" in said(tmp_path / "x.parquet")


@given(st.floats(0, 0.999))
@settings(max_examples=40, deadline=None)
def test_a_file_cut_short_anywhere_is_refused(table: Path, share: float) -> None:
    cut = table.with_name("cut.parquet")
    cut.write_bytes(table.read_bytes()[: int(table.stat().st_size * share)])
    assert "cut short" in said(cut)


def test_damage_within_the_pages_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "damaged.parquet"
    pq.write_table(pa.table({"prompt": ["some text"] * 1000}), path, compression="gzip", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[30:60] = bytes(30)
    path.write_bytes(content)
    assert "damaged" in said(path)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    bad = pa.StringArray.from_buffers(1, pa.py_buffer(b"\x00\x00\x00\x00\x02\x00\x00\x00"), pa.py_buffer(b"\xff\xfe"))
    pq.write_table(pa.table({"prompt": bad}), tmp_path / "x.parquet")
    assert "not UTF-8" in said(tmp_path / "x.parquet")


def test_absent_columns_are_named_with_what_is_there_and_the_nearest(table: Path) -> None:
    told = said(table, "promt", "answer")
    assert "lacks the columns 'promt', 'answer'" in told
    assert "It has: prompt, number, truth" in told
    assert "Is 'promt' called 'prompt' there?" in told
    assert "Rename the columns" in told


def test_the_file_is_checked_at_the_call_not_at_the_first_row(table: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        read_rows(tmp_path / "gone.parquet", ["prompt"])
    with pytest.raises(DataError):
        read_rows(table, ["absent"], limit=0)


def test_messages_are_read_in_order() -> None:
    value = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
    assert messages_of(value, "here") == (Message("system", "be brief"), Message("user", "hello"))


@pytest.mark.parametrize(
    "value",
    [None, "text", [], {}, [None], ["text"], [{"role": "user"}], [{"role": "robot", "content": "x"}],
     [{"role": "user", "content": None}], [{"role": None, "content": "x"}], 7],
)  # fmt: skip
def test_what_is_no_list_of_messages_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(DataError, match=r"^test\.parquet, row 3: .*Repair the row"):
        messages_of(value, "test.parquet, row 3")


def test_nested_text_is_read_or_refused_with_its_place() -> None:
    row = {"reward_model": {"ground_truth": "7", "style": None}}
    assert text_at(row, ("reward_model", "ground_truth"), "row 0") == "7"
    for path in (("reward_model", "style"), ("reward_model", "gone"), ("reward_model",), ("gone", "deeper")):
        with pytest.raises(DataError, match=r"row 0: `" + r"\.".join(path)):
            text_at(row, path, "row 0")


def test_the_papers_files_are_read(shared: Path) -> None:
    sizes = {
        "self_grading/test": 100,
        "proxy_gaming/test": 100,
        "reward_tampering/train": 792,
        "situational_awareness/test": 94,
    }
    for name, size in sizes.items():
        rows = list(read_rows(shared / "paper_data" / f"{name}.parquet", ["prompt", "reward_model"]))
        assert len(rows) == size
        assert all(set(r) == {"prompt", "reward_model"} for r in rows)
