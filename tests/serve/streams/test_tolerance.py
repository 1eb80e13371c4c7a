from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.serve.refusal import Refusal
from gristmill.serve.streams.tolerance import EXACT, Tolerance, tolerance_of


@given(
    st.none() | st.floats(0, 1, exclude_min=True).filter(lambda share: share > 1e-90),
    st.integers(0, 254) | st.sampled_from(["decoded", "none"]),
)
def test_what_is_said_is_read(error, noise):
    said = b"noise=%s" % str(noise).encode()
    if error is not None:
        said += b"&error=%s" % repr(error).encode()
    assert tolerance_of(said) == Tolerance(error, noise)


@given(st.binary(max_size=40))
def test_anything_else_is_refused(query):
    found = EXACT
    with suppress(Refusal):
        found = tolerance_of(query)
    assert found.error is None or 0 < found.error <= 1
    assert found.noise in ("decoded", "none", *range(255))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (b"error=0", "error: expected a share above 0, at most 1, found '0'"),
        (b"error=1.5", "error: expected a share above 0, at most 1, found '1.5'"),
        (b"error=nan", "error: expected a share above 0, at most 1, found 'nan'"),
        (b"error=", "error: expected a share above 0, at most 1, found ''"),
        (b"noise=255", "noise: expected decoded, none or grey levels from 0 to 254, found '255'"),
        (b"noise=loud", "noise: expected decoded, none or grey levels from 0 to 254, found 'loud'"),
        (b"eror=0.1", "expected the parameters error and noise, found 'eror'"),
        (b"noise=1&noise=2", "expected the parameters error and noise, found 'noise' a second "
                             "time"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(query, message):
    with pytest.raises(Refusal) as refused:
        tolerance_of(query)
    assert refused.value.message == message


def test_nothing_said():
    assert tolerance_of(b"") == EXACT == Tolerance(None, "decoded")
