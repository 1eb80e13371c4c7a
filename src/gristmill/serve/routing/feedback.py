"""What `POST /v1/feedback` does: feedback to the route whose log knows the prediction.

    {"prediction_id": "p0123abcd-00000004d2a1b2c3d4e5-0", "label": "spam"}
    {"feedback": [{"prediction_id": "p0123abcd-00000004d2a1b2c3d4e5-0", "loss": 0.25},
                  {"prediction_id": "p0123abcd-00000004d2a1b2c3d4e5-1", "label": "spam"}]}

Each piece is answered with what became of it: joined, repeated, expired, unknown, or invalid; a
piece alone that nothing was learnt from is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

import msgspec

from gristmill.core.errors import StoreError, UsageError
from gristmill.serve.misfit import misfit
from gristmill.serve.refusal import Refusal
from gristmill.serve.selection.awaiting import JoinStatus
from gristmill.serve.selection.feedback_log import FeedbackLog
from gristmill.serve.selection.losses import Said
from gristmill.serve.watch.truth_log import TellStatus

MOST_PIECES = 10_000
SHOWN = 100
"""Characters of a name that are repeated in an answer."""
_REFUSED = {"unknown": 404, "expired": 404, "repeated": 409, "invalid": 422}
"""The status of the answer to a piece alone, by what became of it."""
_FIX = 'send {"prediction_id": "...", "label": "..."}, or {"feedback": [{...}, ...]}'

_MEANING: dict[str, str] = {
    "joined": "the policy has learnt from it",
    "repeated": "this prediction had its feedback already; nothing was learnt",
    "expired": "the prediction is too old, its record is gone; nothing was learnt",
    "unknown": "no such prediction was made here, or none whose feedback is awaited",
}


class Feedback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How good one prediction was.

    Attributes:
        prediction_id: as the answer named it.
        loss: what it lost, in [0, 1]; or
        label: what it should have been: a class name, or a number where the model answers one.
        who, correction: as they are told of kept predictions (see `truths`); no policy asks.
    """

    prediction_id: str
    loss: float | None = None
    label: str | float | int | bool | None = None
    who: str | None = None
    correction: bool | None = None


Piece = TypeVar("Piece")


class FeedbackRequest(msgspec.Struct, Generic[Piece], frozen=True, forbid_unknown_fields=True):
    """The body of a request with many pieces, and what is the same for all of them."""

    feedback: list[Piece]
    who: str = ""
    correction: bool = False


class FeedbackResult(msgspec.Struct, frozen=True):
    """What became of one piece of feedback."""

    prediction_id: str
    status: JoinStatus | TellStatus | Literal["invalid"]
    message: str


class FeedbackResponse(msgspec.Struct, frozen=True):
    """The body of an answer to many: a result per piece, in order, and how many of each."""

    results: list[FeedbackResult]
    counts: dict[str, int]


_ONE = msgspec.json.Decoder(Feedback)
_MANY = msgspec.json.Decoder(FeedbackRequest[Feedback])
_KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_feedback(body: bytes) -> tuple[list[Feedback], bool]:
    """Return the feedback in a request's body, and whether it is a list of pieces.

    Raises:
        Refusal: 400 no JSON, 413 too many pieces, 422 not of the form above.
    """
    wanted, fix = "a prediction_id with loss or label", "send them in several requests"
    request, many = read_pieces(body, _ONE, _MANY, wanted=wanted, fix_of_many=fix)
    return request.feedback, many


def read_pieces(
    body: bytes,
    one: msgspec.json.Decoder[Piece],
    many: msgspec.json.Decoder[FeedbackRequest[Piece]],
    *,
    wanted: str,
    fix_of_many: str,
) -> tuple[FeedbackRequest[Piece], bool]:
    """Return a request's pieces of one kind, and whether they are a list.

    Args:
        one, many: read a piece alone, and a list of them.
        wanted: what a piece is, for who sent something else.
        fix_of_many: what to do with too many.

    Raises:
        Refusal: 400 no JSON, 413 too many pieces, 422 not such pieces.
    """
    try:
        listed = "feedback" in _KEYS.decode(body)
        request = many.decode(body) if listed else FeedbackRequest([one.decode(body)])
    except msgspec.ValidationError as error:
        message = f"expected {wanted}, or a list of them: {misfit(error)}"
        raise Refusal(422, "invalid_feedback", message, fix=_FIX) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, "invalid_json", f"the body is not JSON: {error}") from error
    if (count := len(request.feedback)) > MOST_PIECES:
        message = f"expected at most {MOST_PIECES} pieces of feedback, found {count}"
        raise Refusal(413, "too_much_feedback", message, fix=fix_of_many)
    return request, listed


def give_feedback(logs: Sequence[FeedbackLog], pieces: Sequence[Feedback]) -> list[FeedbackResult]:
    """Join feedback to predictions; return what became of each piece.

    Args:
        logs: those of all routes that select a model.
        pieces: from `read_feedback`.

    Raises:
        Refusal: 404 no route of this server takes feedback, 503 a log cannot be written; the pieces
            before that one are joined and would be told as "repeated".
    """
    if not logs:
        raise Refusal(
            404,
            "no_feedback",
            "no route of this server learns from feedback",
            fix="serve several models with a selection policy; where predictions are kept "
            "(keep_predictions), tell /v1/models/NAME/feedback",
        )
    return [_given(logs, piece) for piece in pieces]


def feedback(logs: Sequence[FeedbackLog], body: bytes) -> bytes:
    """Answer the body of a request with the body of an answer (status 200).

    Raises:
        Refusal: as `read_feedback` and `give_feedback` do; 404, 409 or 422 for a single piece that
            nothing was learnt from.
    """
    pieces, many = read_feedback(body)
    return answer_to(give_feedback(logs, pieces), many=many)


def answer_to(results: list[FeedbackResult], *, many: bool) -> bytes:
    """Return the body of an answer: the result of a piece alone, or those of many with counts.

    Raises:
        Refusal: 404, 409 or 422 for a piece alone of which nothing came.
    """
    if many:
        counts: dict[str, int] = Counter(each.status for each in results)
        return msgspec.json.encode(FeedbackResponse(results, counts))
    (result,) = results
    if result.status in _REFUSED:
        code = f"{result.status}_feedback"
        raise Refusal(_REFUSED[result.status], code, f"{result.prediction_id}: {result.message}")
    return msgspec.json.encode(result)


def _given(logs: Sequence[FeedbackLog], piece: Feedback) -> FeedbackResult:
    name = piece.prediction_id
    # A name that nobody knows is counted by the first log, so that it is counted once.
    owner = next((log for log in logs if log.knows(name)), logs[0])
    truth: Said | None = piece.label
    try:
        status = owner.feedback(name, loss=piece.loss, truth=truth)
    except UsageError as error:
        owner.counts["invalid"] += 1
        return FeedbackResult(name[:SHOWN], "invalid", error.message)
    except StoreError as error:
        raise Refusal(
            503, "log_not_writable", error.message, headers=[("Retry-After", "10")]
        ) from error
    return FeedbackResult(name[:SHOWN], status, _MEANING[status])
