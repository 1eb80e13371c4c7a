import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.serve.protocols.instances import found, sample_of
from gristmill.serve.runners.records import check_records
from gristmill.store.bundle import Field

BOUND = st.none() | st.integers(-50, 50).map(float)


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
    sample = sample_of([field])
    assert check_records([field], [sample]) == ([sample], [])


def test_a_sample_of_tensors_is_nested_unless_it_is_large():
    fields = [
        Field("a", "tensor", dtype="int64", shape=[None, 2], min=1.0),
        Field("b", "image", shape=[300, 300, 3]),
        Field("c", "tensor", dtype="bool", shape=[1]),
    ]
    assert sample_of(fields) == {"a": [[1, 1]] * 3, "b": None, "c": [True]}


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
