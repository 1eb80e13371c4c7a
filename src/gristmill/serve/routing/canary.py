"""A share of the traffic goes to a candidate: always the same users, whichever process asks.

Who goes where is a keyed hash, so that nobody can choose a side, a user stays on it, and raising
the share only ever moves users from the stable model to the candidate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

from gristmill.core.errors import UsageError
from gristmill.serve.online.endpoint import Answered, Call, Endpoint, Prompt, Told
from gristmill.serve.routing.composite import Composite
from gristmill.serve.routing.members import is_our_fault, is_ready
from gristmill.serve.watch.metrics import Sample

if TYPE_CHECKING:
    from gristmill.serve.runners.rows import Rows

_BYTES = 8
_LEAST_KEY = 16


class Canary(Composite):
    """An endpoint that sends a share of its requests to a candidate.

    Args:
        name: what requests call it.
        stable: the model that has proved itself.
        candidate: the one that has not.
        share: of users (or requests), in [0, 1]; can be changed at any time.
        key: secret, at least 16 bytes; the same in every process of a route.
        by: who stays on a side: the user where a request names one, or each request for itself.
        fall_back: whether the stable model answers what the candidate fails at.
    """

    kind = "canary"

    def __init__(
        self,
        name: str,
        stable: Endpoint,
        candidate: Endpoint,
        share: float,
        *,
        key: bytes,
        by: Literal["user", "request"] = "user",
        fall_back: bool = True,
    ) -> None:
        super().__init__(name, [stable, candidate])
        if not _LEAST_KEY <= len(key) <= blake2b.MAX_KEY_SIZE:
            raise UsageError(f"expected a key of 16 to 64 bytes, found {len(key)}")
        self._key, self._by, self.fall_back = key, by, fall_back
        self._prompt = stable.ask if isinstance(stable, Prompt) else None
        self.share = share
        self._answers: Counter[tuple[str, str]] = Counter()

    @property
    def share(self) -> float:
        """The share of users (or requests) that goes to the candidate, in [0, 1]."""
        return self._share

    @share.setter
    def share(self, share: float) -> None:
        if not 0.0 <= share <= 1.0:
            raise UsageError(f"expected a share in [0, 1], found {share!r}")
        self._share = share

    @property
    def ready(self) -> bool:
        """Whether it can answer: the stable model can, and so the candidate need not."""
        return is_ready(self.members[0]) and (self.fall_back or is_ready(self.members[1]))

    def says(self) -> str:
        """Return who goes where."""
        stable, candidate = self.members
        share = f"{100.0 * self._share:.3g}% of {self._by}s"
        return f"canary: {share} to {candidate.name}, else {stable.name}"

    def goes_to_candidate(self, call: Call) -> bool:
        """Say whether a request goes to the candidate."""
        who = call.user if self._by == "user" and call.user else call.request_id
        data = who.encode("utf-8", "surrogatepass")
        place = blake2b(data, digest_size=_BYTES, key=self._key, person=b"canary").digest()
        return int.from_bytes(place, "little") < self._share * 2.0 ** (8 * _BYTES)

    async def answer(self, rows: Rows, call: Call) -> Answered:
        """Answer by the stable model or by the candidate.

        Raises:
            Exception: whatever the model raised that had the last word.
        """
        stable, candidate = self.members
        if not self.goes_to_candidate(call):
            return await self._asked(stable, rows, call)
        try:
            return await self._asked(candidate, rows, call)
        except Exception as error:
            if not (self.fall_back and is_our_fault(error)):
                raise
        return await self._asked(stable, rows, call)

    def ask(self, rows: Rows, call: Call, told: Told) -> Callable[[], None] | None:
        """Do as `answer` for whom the stable model answers; see `endpoint.Prompt`.

        None for the candidate's: what that fails at may have to be asked once more.

        Raises:
            Refusal: as `answer`.
        """
        if self._prompt is None or self.goes_to_candidate(call):
            return None
        stable = self.members[0].name
        try:
            return self._prompt(rows, call, partial(self._hear, stable, told))
        except Exception as error:
            self._count(stable, error)
            raise

    def samples(self) -> Iterator[Sample]:
        """Yield share, answers and failures of both sides, and the members' own figures."""
        what = "Share of the traffic that goes to the candidate."
        yield Sample("gristmill_canary_share", "gauge", what, {"route": self.name}, self._share)
        what = "Requests that a side of the canary was asked, by what became of them."
        for (member, result), count in sorted(self._answers.items()):
            labels = {"route": self.name, "member": member, "result": result}
            yield Sample("gristmill_canary_requests_total", "counter", what, labels, count)
        yield from super().samples()

    async def _asked(self, member: Endpoint, rows: Rows, call: Call) -> Answered:
        try:
            answered = await member.answer(rows, call)
        except Exception as error:
            self._count(member.name, error)
            raise
        self._count(member.name)
        return answered

    def _hear(self, member: str, told: Told, outcome: Answered | Exception) -> None:
        self._count(member, outcome if isinstance(outcome, Exception) else None)
        told(outcome)

    def _count(self, member: str, error: Exception | None = None) -> None:
        result = "answered"
        if error is not None:
            result = "failed" if is_our_fault(error) else "refused"
        self._answers[member, result] += 1
