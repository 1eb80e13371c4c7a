import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.serve.instances import checked, found, sample_record
from gristmill.serve.records import check_records
from gristmill.serve.refusal import Refusal
from gristmill.store.bundle import Field, Signature

BOUND = st.none() | st.integers(-50, 50).map(float)


def test_good_instances_come_back_with_the_signatures_fields(runner):
    assert checked(runner, [{"text": "hi", "more": 1}]) == [{"text": "hi", "count": None}]


def test_bad_instances_refuse_the_request_and_are_all_listed(runner):
    with pytest.raises(Refusal) as caught:
        checked(runner, [{"text": 1}, {"text": "ok"}, 5, {"text": "x" * 21, "count": -1}])
    refusal = caught.value
    assert (refusal.status, refusal.code) == (422, "bad_records")
    assert refusal.message == ("3 of 4 records break the model's signature; none was predicted")
    assert [(detail.index, detail.field, detail.expected) for detail in refusal.details] == [
        (0, "text", "a string"),
        (2, "", "an object"),
        (3, "text", "at most 20 characters"),
        (3, "count", "at least 0"),
    ]


def test_one_bad_instance_alone(runner):
    with pytest.raises(Refusal, match="the record breaks the model's signature"):
        checked(runner, [{}])


@st.composite
def fields(draw):
    kind = draw(st.sampled_from(["string", "int", "float", "bool"]))
    low, high = sorted([draw(BOUND), draw(BOUND)], key=lambda bound: bound or 0.0)
    if kind == "string":
        domain = draw(st.none() | st.lists(st.text(max_size=3), min_size=1, max_size=3))
        most = None if domain else draw(st.none() | st.integers(0, 20))
        return Field("field", kind, max_length=most, domain=domain)
    return Field("field", kind) if kind == "bool" else Field("field", kind, min=low, max=high)


@given(fields(), st.booleans())
def test_a_sample_fits_its_signature(field, extreme):
    if extreme and field.kind == "float":
        field = Field("field", "float", min=0.25, max=0.5)
    signature = Signature(inputs=[field], outputs=[])
    sample = sample_record(signature)
    assert check_records(signature.inputs, [sample]) == ([sample], [])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "null"),
        (True, "bool True"),
        (3, "int 3"),
        (0.5, "float 0.5"),
        ("hi", "string 'hi'"),
        ([1, 2], "array of 2"),
        ({"a": 1}, "object of 1"),
    ],
)
def test_what_was_found_is_said_in_a_few_words(value, said):
    assert found(value) == said


def test_a_long_value_is_cut():
    said = found("x" * 1000)
    assert said == "string '" + "x" * 36 + "..."
