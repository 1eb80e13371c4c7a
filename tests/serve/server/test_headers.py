import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.serve.refusal import Refusal
from gristmill.serve.server.headers import call_of, request_id
from gristmill.serve.server.request import Request


def asked(**headers):
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return Request("POST", "/", named, b"")


def test_what_a_request_says():
    request = asked(
        x_gristmill_deadline_ms=b"1500.5",
        x_gristmill_priority=b"+10",
        x_gristmill_user=b"Ada L",
        x_gristmill_default=b"TRUE",
    )
    call = call_of(request, "id", 100.0, 2.0, 60.0)
    assert (call.request_id, call.deadline) == ("id", 101.5005)
    assert (call.priority, call.user, call.accept_default) == (10, "Ada L", True)


def test_what_it_need_not_say():
    call = call_of(asked(), "id", 100.0, 2.0, 60.0)
    assert (call.deadline, call.priority, call.user, call.accept_default) == (102.0, 0, "", False)
    assert request_id(asked()) is None


@given(st.floats(0.0, 60_000.0, exclude_min=True))
def test_a_deadline_may_be_any_number_as_programs_write_it(milliseconds):
    asks = asked(x_gristmill_deadline_ms=repr(milliseconds).encode())
    assert call_of(asks, "id", 0.0, 2.0, 60.0).deadline == milliseconds / 1000


@pytest.mark.parametrize(
    ("header", "values"),
    [
        (
            b"x-gristmill-deadline-ms",
            [b"0", b"-1", b"60001", b"1e5", b"1e999", b"nan", b"1_0", b"", b"9" * 40],
        ),
        (b"x-gristmill-priority", [b"11", b"-11", b"1.5", b"high", b"9" * 5000]),
        (b"x-gristmill-user", [b"", b"a" * 257, b"\xe9"]),
        (b"x-gristmill-default", [b"yes", b"1", b""]),
    ],
)
def test_other_words_are_refused(header, values):
    for value in values:
        with pytest.raises(Refusal) as caught:
            call_of(Request("POST", "/", {header: value}, b""), "id", 0.0, 2.0, 60.0)
        assert (caught.value.status, caught.value.code) == (400, "bad_header")
        assert caught.value.message.lower().startswith(f"header {header.decode()}: expected ")


def test_an_id_is_visible_ascii():
    assert request_id(asked(x_request_id=b"7f-A!~")) == "7f-A!~"
    for value in (b"", b"a b", b"a" * 129, b"\xc3\xa9"):
        with pytest.raises(Refusal):
            request_id(asked(x_request_id=value))
