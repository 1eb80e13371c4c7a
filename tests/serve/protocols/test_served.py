import asyncio
import time

import numpy as np
import pytest

from gristmill.serve.online.endpoint import Answered, Call
from gristmill.serve.protocol import Limits
from gristmill.serve.protocols.served import RequestIds, Served
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.rows import Ragged, Rows
from gristmill.store.bundle import Field


def answer(served, *texts):
    rows = served.rows_of([{"text": text} for text in texts])
    call = Call(request_id="r", deadline=time.monotonic() + 1)
    return asyncio.run(served.answer(rows, call))


def refused(call):
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value


def test_answers_in_order(served, endpoint):
    found = answer(served, *("x" * size for size in range(5))).rows
    assert list(found["label"]) == ["even", "odd", "even", "odd", "even"]
    assert served.version == endpoint.fingerprint


def test_no_rows_have_no_answers_and_ask_no_model(served, make_served, endpoint):
    rows = answer(served).rows
    assert (rows.count, endpoint.calls, set(rows.columns)) == (0, [], {"label", "prob"})
    vector = make_served("vector")
    empty = asyncio.run(vector.answer(vector.rows_of([]), Call(request_id="r", deadline=0.0)))
    assert empty.rows["sums"].shape == (0, 2)


@pytest.mark.parametrize("read", ["rows_of", "rows_of_json"])
def test_too_many_rows_are_refused(make_served, read):
    served = make_served("parity", Limits(max_instances=5))
    given_ = [None] * 6 if read == "rows_of" else b'{"instances": [%s]}' % b",".join([b"{}"] * 6)
    refusal = refused(lambda: getattr(served, read)(given_))
    assert (refusal.status, refusal.code) == (413, "too_many_instances")
    assert refusal.message == "expected at most 5 instances, found 6"


def test_bad_records_are_all_listed(served):
    bad = [{"text": 1}, {"text": "ok"}, 5, {"text": "x" * 21, "count": -1}]
    refusal = refused(lambda: served.rows_of(bad))
    assert (refusal.status, refusal.code) == (422, "bad_records")
    assert refusal.message == "3 of 4 records break the model's signature; none was predicted"
    assert [(detail.index, detail.field) for detail in refusal.details] == [
        (0, "text"),
        (2, ""),
        (3, "text"),
        (3, "count"),
    ]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"instances": [{"text": "a"}]}', 200),
        (b'{"text": "a"}', 200),
        (b'{"instances": [{"text": "a", "other": 3}]}', 200),
        (b'{"instances": [{"text": 3}]}', 422),
        (b'{"instances": [{"text": "a", "count": 1e400}]}', 400),
        (b'{"instances": [{"text": "\\ud800"}]}', 400),
        (b'{"instances": [{"text": "\xff"}]}', 400),
        (b'{"instances": [], "more": 1}', 400),
        (b'{"instances": [{"text": NaN}]}', 400),
        (b'{"instances": ' + b"[" * 100_000, 400),
    ],
)
def test_bodies_of_the_plain_form(served, body, status):
    if status == 200:
        assert served.rows_of_json(body).count == 1
    else:
        assert refused(lambda: served.rows_of_json(body)).status == status


def test_an_answer_that_is_no_number_is_never_sent(served):
    refusal = refused(lambda: answer(served, "ok", "nan"))
    (detail,) = refusal.details
    assert refusal.status == 422
    assert (detail.index, detail.found) == (1, "no finite answer")
    assert refused(lambda: answer(served, "nan")).status == 422


def test_ids_are_unique_and_not_in_sequence():
    ids = RequestIds()
    made = [ids.next() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    assert all(len(name) == 16 for name in made)
    assert made != sorted(made)
    assert not set(made) & {RequestIds().next() for _ in range(100)}


@pytest.mark.parametrize(("mode", "warnings"), [("warn", 1), ("off", 0)])
def test_values_outside_their_limits_may_be_let_through(endpoint, mode, warnings):
    served = Served(endpoint, Limits(), mode=mode)
    rows = served.rows_of([{"text": "x" * 21}, {"text": "ok"}])
    assert (rows.count, served.warnings) == (2, warnings)
    line = [sample for sample in served.samples() if "warnings" in sample.name]
    assert [sample.value for sample in line] == [warnings]
    assert refused(lambda: served.rows_of([{"text": 3}])).status == 422


def test_tensors_are_let_through_too():
    class Asked:
        name, classes, outputs = "m", (), ()
        inputs = (Field("x", "tensor", dtype="float32", shape=[1], max=1.0),)

    body = np.array([2.0], "<f4").tobytes()
    assert refused(lambda: Served(Asked, Limits()).raw.rows(body)).status == 422
    assert Served(Asked, Limits(), mode="off").raw.rows(body).count == 1


class Prompt:
    """An endpoint that is asked without a coroutine, unless it says no."""

    name, classes, outputs = "m", (), (Field("y", "tensor", dtype="float32", shape=[2]),)
    inputs = (Field("x", "float"),)

    def __init__(self, says_no=False):
        self.says_no, self.asked, self.left = says_no, [], []

    def ask(self, rows, call, told):
        self.asked.append((rows, told))
        return None if self.says_no else lambda: self.left.append(call)

    async def answer(self, rows, call):
        if rows["x"][0] < 0:
            raise ValueError("negative")
        return Answered(rows=Rows({"y": np.zeros((rows.count, 2), np.float32)}), model="f")


def asked(endpoint, *values):
    """Ask without a coroutine; return what was told, once something was."""

    async def run():
        told = asyncio.get_running_loop().create_future()
        served, rows = Served(endpoint, Limits()), Rows({"x": np.array(values)}, len(values))
        served.ask(rows, Call(request_id="r", deadline=1e9), told.set_result)
        return await told

    return asyncio.run(run())


def test_a_prompt_endpoint_is_asked_without_a_coroutine():
    endpoint, told = Prompt(), []
    served, call = Served(endpoint, Limits()), Call(request_id="r", deadline=1e9)
    gone = served.ask(Rows({"x": np.ones(1)}), call, told.append)
    endpoint.asked[0][1]("the answer")
    gone()
    assert (told, endpoint.left) == (["the answer"], [call])
    with pytest.raises(Refusal, match="at most"):
        served.ask(Rows({"x": np.ones(Limits().max_instances + 1)}), call, told.append)


def test_any_other_is_asked_in_a_task():
    assert asked(Prompt(says_no=True), 1.0).rows["y"].tolist() == [[0.0, 0.0]]
    assert str(asked(Prompt(says_no=True), -1.0)) == "negative"


def test_no_rows_are_answered_at_once():
    endpoint = Prompt()
    assert asked(endpoint).rows.count == 0
    assert endpoint.asked == []


def test_what_is_known_to_be_finite_is_not_looked_at():
    served, rows = Served(Prompt(), Limits()), Rows({"y": np.array([[np.nan, 0.0]])})
    with pytest.raises(Refusal):
        served.check_finite(rows)
    rows.finite = True
    served.check_finite(rows)


class Pairs:
    """An endpoint of two tensors of free length a row."""

    name, classes, outputs = "m", (), ()
    inputs = tuple(Field(name, "tensor", dtype="float32", shape=[None]) for name in ("x", "y"))


@pytest.mark.parametrize("how", ["answer", "ask"])
def test_tensors_of_free_length_have_one_and_the_same_in_a_row(how):
    served, call = Served(Pairs(), Limits()), Call(request_id="r", deadline=1e9)
    x, y = [np.zeros(2), np.zeros(0), np.zeros(3)], [np.zeros(2), np.zeros(0), np.zeros(1)]
    rows = Rows({"x": Ragged.of(x), "y": Ragged.of(y)})

    def ask():
        if how == "ask":
            return served.ask(rows, call, None)
        return asyncio.run(served.answer(rows, call))

    refusal = refused(ask)
    assert refusal.status == 422
    assert [(each.index, str(each)) for each in refusal.details] == [
        (1, "field 'x': expected at least one element, found 0"),
        (2, "field 'y': expected as many elements as 'x' has, found 1"),
    ]
