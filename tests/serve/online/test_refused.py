import pytest

from gristmill.serve.online.refused import refusal, retry_after, stopping
from gristmill.serve.scheduling.request import Reason, Refused


@pytest.mark.parametrize(
    ("refused", "message", "headers"),
    [
        (
            Refused(Reason.LATE, 0.25),
            "too many requests wait for an answer in time; it would be late by about 250 ms",
            (("Retry-After", "1"),),
        ),
        (
            Refused(Reason.FULL, 2.5),
            "the queue is full; what waits takes about 2.50 s",
            (("Retry-After", "3"),),
        ),
        (
            Refused(Reason.HOPELESS, 0.0),
            "the model takes longer for this request than its deadline allows",
            (),
        ),
    ],
)
def test_what_a_client_is_told(refused, message, headers):
    told = refusal(refused)
    assert (told.status, told.code) == (503, refused.reason.value)
    assert (told.message, told.headers) == (message, headers)


def test_stopping():
    assert (stopping().code, stopping().headers) == ("stopping", (("Retry-After", "1"),))


def test_seconds_are_whole_and_at_least_one():
    assert retry_after(0.0) == [("Retry-After", "1")]
    assert retry_after(9.1) == [("Retry-After", "10")]
