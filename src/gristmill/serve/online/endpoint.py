"""What answers requests: one model, or several behind one name. Endpoints compose."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import msgspec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.serve.runners.rows import Rows
    from gristmill.serve.watch.tracing import Trace
    from gristmill.store.bundle import Field


class Call(msgspec.Struct, kw_only=True):
    """What comes with a request's rows.

    Attributes:
        request_id: names the request in answers, logs and feedback.
        deadline: when the answer has to be there, on the endpoint's clock (`time.monotonic`).
        priority: who is refused first when not all can be answered in time: the larger number.
        user: whom state is kept for, where an endpoint keeps some.
        accept_default: whether a marked default answer is welcome instead of a refusal.
        trace: the request's span, told what becomes of the rows, where spans are made.
        key: the client's own id of what it asks about, where the protocol has one.
    """

    request_id: str
    deadline: float
    priority: int = 0
    user: str = ""
    accept_default: bool = False
    trace: Trace | None = None
    key: str = ""


class Answered(msgspec.Struct, kw_only=True):
    """The answers to one request.

    Attributes:
        rows: one row per row asked, in order.
        model: fingerprint of what answered.
        degraded: whether something was left out: a slow member of an ensemble, the model itself
            where a default stands in.
        agreement: float64[n] in 0..1: how far the members of an ensemble agree, row by row.
        members: fingerprints of the models that took part, where there are several.
        late: names of the members that were asked and had not answered in time, or failed.
        cached: how many of the rows came from the cache.
        prediction: what the names of the rows' predictions begin with (`PREDICTION-ROW`), where
            feedback is awaited under them; empty elsewhere.
    """

    rows: Rows
    model: str
    degraded: bool = False
    agreement: NDArray[Any] | None = None
    members: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    cached: int = 0
    prediction: str = ""


class Endpoint(Protocol):
    """Anything that answers.

    Attributes:
        name: what requests call it.
        inputs: fields of a request.
        outputs: fields of an answer.
        classes: class names, in the order of `probs`; empty where it is no classifier.
    """

    @property
    def name(self) -> str:
        """Return the name under which it answers."""

    @property
    def inputs(self) -> tuple[Field, ...]:
        """Return the fields of a request."""

    @property
    def outputs(self) -> tuple[Field, ...]:
        """Return the fields of an answer."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the class names, in the order of `probs`; none where it is no classifier."""

    async def answer(self, rows: Rows, call: Call) -> Answered:
        """Answer checked rows.

        Raises:
            Refusal: 503, with Retry-After where a later try may succeed: not in time, queue full,
                stopping.
            Exception: whatever the model raised on these rows.
        """

    async def close(self) -> None:
        """Take no more requests, answer those that wait, let go of what it holds."""


Told: TypeAlias = Callable[[Answered | Exception], None]
"""Told an answer, or why there is none; must not raise."""


@runtime_checkable
class Prompt(Protocol):
    """An endpoint that can be asked without a coroutine, which costs as much as a small model."""

    def ask(self, rows: Rows, call: Call, told: Told) -> Callable[[], None] | None:
        """Ask as `Endpoint.answer` does; `told` hears once what comes of it, after this returned.

        Returns:
            what to call when nobody waits any more; None if it has to be `answer` this time.

        Raises:
            Refusal: as `Endpoint.answer`; `told` hears nothing then.
        """
