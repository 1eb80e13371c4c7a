import csv
import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.serve.online.endpoint import Answered
from gristmill.serve.protocol import Limits
from gristmill.serve.protocols.comma_separated import csv_of, rows_of_csv, takes_csv
from gristmill.serve.protocols.served import Served
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.rows import Ragged, Rows
from gristmill.store.bundle import Field


def refused(call):
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value


def values(column):
    return column.tolist() if isinstance(column, np.ndarray) else list(column)


def test_records_by_header_in_any_order(served):
    rows = rows_of_csv(served, b'count,text\r\n3,"a, b"\n,"c ""d"""\n', None)
    assert values(rows["text"]) == ["a, b", 'c "d"']
    assert values(rows["count"])[0] == 3


def test_records_without_a_header(served):
    rows = rows_of_csv(served, "\ufeffé,4\n".encode(), "absent")
    assert (values(rows["text"]), values(rows["count"])) == (["é"], [4])


def test_a_tensor_is_a_line_of_numbers(make_served):
    vector = make_served("vector")
    rows = rows_of_csv(vector, b"1,2,3,4\n5,6.5,-7,8e0\n", None)
    assert rows["x"].tolist() == [[1, 2, 3, 4], [5, 6.5, -7, 8]]
    assert rows_of_csv(vector, b"a,b,c,d\n1,2,3,4", "present")["x"].tolist() == [[1, 2, 3, 4]]


def test_a_tensor_of_truths_is_read_by_their_names(make_served):
    field = Field("flags", "tensor", dtype="bool", shape=[4])
    flags = Served(type(make_served("vector").endpoint)(field), Limits())
    rows = rows_of_csv(flags, b"0,1,False, TRUE\n", None)
    assert rows["flags"].tolist() == [[False, True, False, True]]
    refusal = refused(lambda: rows_of_csv(flags, b"0,1,2,yes", None))
    assert (refusal.code, refusal.details[0].found) == ("bad_records", "'2'")


def test_digits_with_underscores_are_no_number(served):
    refusal = refused(lambda: rows_of_csv(served, b"text,count\na,1_0\n", None))
    assert (refusal.code, refusal.details[0].field) == ("bad_records", "count")


def test_rows_of_free_length(make_served):
    rows = rows_of_csv(make_served("ragged"), b"1,2\n3\n", None)
    assert isinstance(rows["signal"], Ragged)
    assert [row.tolist() for row in rows["signal"]] == [[1, 2], [3]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\xff", "expected UTF-8, found another byte at 0"),
        (b"text\na\0b", "expected text, found a NUL at character 6"),
        (b"body\nx", "expected a header line of the columns text, count, found 'body'"),
        (
            b"text,text\nx,y",
            "expected a header line of the columns text, count, found 'text', 'text'",
        ),
        (b"text\nx,y", "row 0: expected 1 cells, found 2"),
        (b'text\n"x', "line 2: unexpected end of data"),
    ],
)
def test_files_that_are_wrong(served, body, message):
    refusal = refused(lambda: rows_of_csv(served, body, None))
    assert (refusal.status, refusal.code, refusal.message) == (400, "malformed_csv", message)


def test_cells_that_are_wrong_are_named(served, make_served):
    refusal = refused(lambda: rows_of_csv(served, b"text,count\na,many\n", None))
    assert (refusal.status, refusal.details[0].field) == (422, "count")
    refusal = refused(lambda: rows_of_csv(make_served("vector"), b"1,2,3,4\n1,2,x,4\n", None))
    (detail,) = refusal.details
    assert (detail.index, detail.expected, detail.found) == (1, "numbers", "'x'")
    assert refused(lambda: rows_of_csv(make_served("vector"), b"1,2,nan,4", None)).status == 422
    short = refused(lambda: rows_of_csv(make_served("vector"), b"1,2\n", None))
    assert short.message == "row 0: expected 4 numbers, found 2"


def test_what_csv_cannot_hold_is_refused(make_served):
    two = make_served("vector").endpoint
    two.inputs = (*two.inputs, Field("z", "tensor", dtype="float32", shape=[2]))
    for kind in ("parity", "vector", "ragged"):
        assert takes_csv(make_served(kind).asked)
    for served in (make_served("image"), Served(two, Limits())):
        assert not takes_csv(served.asked)
        assert refused(lambda served=served: rows_of_csv(served, b"1,2", None)).status == 415


def test_too_many_lines_are_not_read_to_the_end(make_served):
    limits = Limits(max_instances=2)
    for kind, body in (("parity", b"text\na\nb\nc\n"), ("vector", b"1,2,3,4\n" * 3)):
        assert (
            refused(lambda k=kind, b=body: rows_of_csv(make_served(k, limits), b, None)).status
            == 413
        )


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=60) | st.text('text,count\r\n"019.-einfa ', max_size=60).map(str.encode),
    st.sampled_from(["parity", "vector", "ragged", "image"]),
    st.sampled_from([None, "present", "absent"]),
)
def test_any_bytes_are_rows_or_refused(make_served, body, kind, header):
    with suppress(Refusal):
        assert isinstance(rows_of_csv(make_served(kind), body, header), Rows)


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8), max_size=5)
)
def test_answers_come_back_as_they_were(texts):
    rows = Rows({"label": texts, "probs": np.zeros((len(texts), 2))}, len(texts))
    body = csv_of(Answered(rows=rows, model="f"), "p", ("a", "b")).decode()
    header, *lines = csv.reader(io.StringIO(body, newline=""))
    assert header == ["id", "label", "probs.a", "probs.b"]
    assert [line[1] for line in lines] == texts
    assert [line[0] for line in lines] == [f"p{row}" for row in range(len(texts))]
