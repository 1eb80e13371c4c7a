import msgspec
import pytest

from gristmill.serve.misfit import misfit


class Piece(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    value: float | str | None = None
    marks: dict[str, int] = {}


class Body(msgspec.Struct):
    pieces: list[Piece]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{}", "expected the key 'pieces', found none"),
        ("[]", "expected an object, found a list"),
        ('{"pieces": [{"name": null}]}', "pieces[0].name: expected a text, found null"),
        (
            '{"pieces": [{"name": "a", "value": {}}]}',
            "pieces[0].value: expected a number, a text or null, found an object",
        ),
        ('{"pieces": [{"name": "a", "size": 1}]}', "pieces[0]: unknown key 'size'"),
        (
            '{"pieces": [{"name": "a", "marks": {"b": 1.5}}]}',
            "pieces[0].marks[...]: expected a whole number, found a number",
        ),
    ],
)
def test_what_is_wrong_is_said_in_words(body, words):
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(body, type=Body)
    assert misfit(caught.value) == words


def test_what_it_does_not_know_is_passed_on():
    assert misfit(msgspec.ValidationError("Invalid enum value 'x' - at `$.kind`")) == (
        "kind: Invalid enum value 'x'"
    )
