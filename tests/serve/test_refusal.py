import pickle

from gristmill.core.errors import ServeError
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.records import RecordError

DETAILS = [RecordError(index, "text", "a string", str(index)) for index in range(7)]


def test_both_bodies_say_everything():
    refusal = Refusal(422, "bad", "two are wrong", fix="mend them", details=DETAILS[:2])
    assert refusal.body() == {
        "error": {
            "code": "bad",
            "message": "two are wrong",
            "fix": "mend them",
            "details": [
                {"index": 0, "field": "text", "expected": "a string", "found": "0"},
                {"index": 1, "field": "text", "expected": "a string", "found": "1"},
            ],
        }
    }
    assert refusal.text() == (
        "two are wrong; record 0: field 'text': expected a string, found 0; "
        "record 1: field 'text': expected a string, found 1; fix: mend them"
    )


def test_the_text_stays_short():
    refusal = Refusal(422, "bad", "seven", details=DETAILS)
    assert refusal.text().endswith("record 4: field 'text': expected a string, found 4; and 2 more")
    assert len(refusal.body()["error"]["details"]) == 7


def test_printed_it_shows_the_request_the_fix_and_the_records():
    refusal = Refusal(
        422, "bad", "one is wrong", fix="mend it", details=DETAILS[:1], where="POST /x"
    )
    assert str(refusal) == (
        "POST /x: one is wrong\n  fix: mend it\n"
        "  record 0: field 'text': expected a string, found 0"
    )


def test_a_bare_refusal_has_nothing_empty_in_it():
    refusal = Refusal(404, "gone", "no such thing")
    assert refusal.body() == {"error": {"code": "gone", "message": "no such thing"}}
    assert refusal.text() == str(refusal) == "no such thing"
    assert isinstance(refusal, ServeError)


def test_survives_a_trip_between_processes():
    refusal = Refusal(
        503, "busy", "later", fix="wait", details=DETAILS, headers=[("Retry-After", "2")], where="x"
    )
    twin = pickle.loads(pickle.dumps(refusal))
    assert vars(twin) == vars(refusal)
