import pytest

from gristmill.core.errors import UsageError
from gristmill.serve.refusal import Refusal
from gristmill.serve.server.request import Request
from gristmill.serve.server.tokens import Tokens

TOKEN = "0123456789abcdef"


def check(tokens, value=None):
    headers = {} if value is None else {b"authorization": value}
    tokens.check(Request("GET", "/", headers, b""))


def test_without_tokens_everyone_may_ask():
    assert not Tokens()
    check(Tokens())


@pytest.mark.parametrize("value", [b"Bearer 0123456789abcdef", b"bearer  0123456789abcdef "])
def test_a_good_token(value):
    check(Tokens([TOKEN, "another-token-here"]), value)


@pytest.mark.parametrize(
    "value",
    [None, b"", b"Bearer", b"Bearer x", b"Basic 0123456789abcdef", b"0123456789abcdef", b"\xff"],
)
def test_any_other_is_refused(value):
    with pytest.raises(Refusal) as caught:
        check(Tokens([TOKEN]), value)
    assert (caught.value.status, caught.value.code) == (401, "unauthorized")
    assert TOKEN not in str(caught.value)


def test_tokens_from_a_file(tmp_path):
    file = tmp_path / "tokens"
    file.write_text(f"# who: Ada\n{TOKEN}\n\n")
    check(Tokens.read(file), b"Bearer 0123456789abcdef")
    file.write_text("# none\n")
    with pytest.raises(UsageError) as caught:
        Tokens.read(file)
    assert caught.value.message == "expected a token a line, found none"
    with pytest.raises(UsageError):
        Tokens.read(tmp_path / "nothing")
    file.write_text("short\n")
    with pytest.raises(UsageError) as caught:
        Tokens.read(file)
    assert caught.value.where == str(file)


@pytest.mark.parametrize("token", ["short", "with a space in it", "ümlaut-ümlaut-ümlaut"])
def test_tokens_that_are_none(token):
    with pytest.raises(UsageError) as caught:
        Tokens([token])
    assert caught.value.message == (
        "expected tokens of at least 16 ASCII characters without spaces"
    )
