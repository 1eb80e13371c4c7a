"""Row groups moved from file to file: every reader sees the rows of all files, in order."""

from __future__ import annotations

import io

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import ServeError
from gristmill.serve.offline.row_groups import RowGroupWriter
from gristmill.serve.offline.thrift import Reader, written

ROW = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.text(max_size=5),
    st.none() | st.lists(st.none() | st.floats(allow_nan=False), max_size=3),
)
SCHEMA = {"a": pl.Int64, "s": pl.String, "l": pl.List(pl.Float64)}


def parquet(frame: pl.DataFrame, **options: object) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def joined(files: list[bytes]) -> bytes:
    buffer = io.BytesIO()
    writer = RowGroupWriter(buffer)
    for data in files:
        writer.add(data)
    writer.finish()
    return buffer.getvalue()


@settings(deadline=None)
@given(
    st.lists(st.lists(ROW, max_size=6), min_size=1, max_size=4),
    st.sampled_from(["snappy", "zstd", "uncompressed"]),
    st.integers(1, 4),
)
def test_all_rows_in_order(
    parts: list[list[tuple[object, ...]]], compression: str, group_rows: int
) -> None:
    frames = [pl.DataFrame(rows, schema=SCHEMA, orient="row") for rows in parts]
    files = [parquet(each, compression=compression, row_group_size=group_rows) for each in frames]
    whole, data = pl.concat(frames), joined(files)
    assert pl.read_parquet(io.BytesIO(data)).equals(whole)
    table = pq.read_table(io.BytesIO(data))
    assert pl.DataFrame(pl.from_arrow(table)).equals(whole)
    assert pq.ParquetFile(io.BytesIO(data)).metadata.num_rows == whole.height


def test_files_of_another_writer() -> None:
    frame = pl.DataFrame({"a": range(1000), "s": [str(i % 7) for i in range(1000)]})
    buffer = io.BytesIO()
    pq.write_table(frame.to_arrow(), buffer, row_group_size=300, write_page_index=True)
    data = joined([buffer.getvalue()] * 2)
    assert pl.DataFrame(pl.from_arrow(pq.read_table(io.BytesIO(data)))).equals(
        pl.concat([frame, frame])
    )
    assert len(data) < 2 * len(buffer.getvalue())


def test_what_cannot_be_joined() -> None:
    one, two = parquet(pl.DataFrame({"a": [1]})), parquet(pl.DataFrame({"b": [1]}))
    with pytest.raises(ServeError, match="the columns of two parts differ"):
        joined([one, two])
    with pytest.raises(ServeError, match="expected a Parquet file, found something else"):
        joined([b"no"])
    torn = one[:-40] + bytes(30) + one[-10:]
    with pytest.raises(
        ServeError, match=r"the footer of a Parquet file is damaged|found something"
    ):
        joined([torn[:-8] + (5).to_bytes(4, "little") + b"PAR1"])


@settings(deadline=None)
@given(st.integers(1, 40), st.booleans(), st.binary(max_size=300), st.floats(allow_nan=False))
def test_a_struct_is_written_as_it_was_read(
    number: int, flag: bool, data: bytes, real: float
) -> None:
    size = len(data)
    fields = Reader(
        bytes([0x15, 0x02, 0x11 if flag else 0x12, 0x18])
        + (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7]))
        + data
        + b"\x00"
    ).struct()
    assert fields[1].value == 1
    assert fields[2].value is flag
    assert fields[3].value == data
    assert Reader(written(fields)).struct() == fields
    moved = {number: fields[3], number + 30: fields[2]}
    assert Reader(written(moved)).struct() == moved


def test_a_struct_that_ends_too_early() -> None:
    with pytest.raises(ValueError, match="it ends too early"):
        Reader(b"\x18\x05ab").struct()
    with pytest.raises(ValueError, match="a value of type 13"):
        Reader(b"\x1d").struct()
