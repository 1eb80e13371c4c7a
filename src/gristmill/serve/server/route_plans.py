"""What the serving file may say of one route: which models stand behind its name, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import msgspec

from gristmill.core.errors import UsageError
from gristmill.core.quantities import parse_bytes, parse_seconds
from gristmill.serve.selection.feedback_log import LogLimits
from gristmill.serve.selection.kinds import policy_named, policy_of
from gristmill.serve.selection.losses import absolute, zero_one
from gristmill.serve.server.model_plan import AtTheDoor, Duration, Size

if TYPE_CHECKING:
    from gristmill.serve.selection.kinds import AnyPolicy
    from gristmill.serve.selection.losses import Loss


class RoutePlan(AtTheDoor, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """A name behind which several models, or other routes, stand.

    Attributes:
        models: their names.
        least, most: how many there have to be, and may be.
    """

    least: ClassVar[int] = 2
    most: ClassVar[int | None] = None

    models: tuple[str, ...]

    def check(self) -> None:
        """Check what one route says by itself.

        Raises:
            UsageError: a wrong number of models, or one of them twice.
        """
        super().check()
        wanted = f"{self.least}" if self.least == self.most else f"{self.least} or more"
        if len(self.models) < self.least or len(self.models) > (self.most or len(self.models)):
            found = ", ".join(self.models) or "none"
            raise UsageError(f"expected {wanted} models, found {found}")
        if len(set(self.models)) < len(self.models):
            raise UsageError(
                f"expected each model once, found {', '.join(self.models)}",
                fix="give the second one a name of its own under [models]",
            )


class CanaryPlan(RoutePlan, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="canary"):
    """The second model gets a share of the requests, the first one the others.

    Attributes:
        share: of users (or requests), in [0, 1].
        by: who stays on a side: a user, where requests name one, or each request for itself.
        fall_back: whether the first model answers what the second one fails at.
    """

    most = 2

    share: float
    by: Literal["user", "request"] = "user"
    fall_back: bool = True

    def check(self) -> None:
        """Check the share, too."""
        super().check()
        _check_share(self.share)


class ShadowPlan(RoutePlan, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="shadow"):
    """The first model answers; the second one is asked, too, and compared.

    Attributes:
        share: of requests that the second one is asked, in [0, 1].
        timeout: time that it may take.
        most_copies: how many of its answers may be under way; more requests are not copied.
        tolerance: numbers that differ by less are the same.
    """

    most = 2

    share: float = 1.0
    timeout: Duration = 1.0
    most_copies: int = 64
    tolerance: float = 1e-6

    def check(self) -> None:
        """Check the share and the bounds, too."""
        super().check()
        _check_share(self.share)
        if not parse_seconds(self.timeout, "timeout") > 0:
            raise UsageError(f"expected timeout above 0, found {self.timeout}")
        if self.most_copies < 1:
            raise UsageError(f"expected most_copies of at least 1, found {self.most_copies}")


class EnsemblePlan(
    RoutePlan, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="ensemble"
):
    """All models are asked; those that have answered by the deadline make the answer.

    Attributes:
        how: the mean of the probabilities, or a vote.
        at_least: how many have to be there.
        margin: time before the deadline at which the answer is made.
    """

    how: Literal["mean", "vote"] = "mean"
    at_least: int = 1
    margin: Duration = 0.005

    def check(self) -> None:
        """Check the number that has to be there, too."""
        super().check()
        if not 1 <= self.at_least <= len(self.models):
            raise UsageError(f"expected at_least of 1 to {len(self.models)}, found {self.at_least}")
        if parse_seconds(self.margin, "margin") < 0:
            raise UsageError(f"expected margin of at least 0, found {self.margin}")


class FieldContext(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A state is kept for each value of a field, of the first row of a request.

    Attributes:
        field: its name: one of strings, whole numbers or truth values.
    """

    field: str


class SelectionPlan(
    RoutePlan, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="selection"
):
    """A policy picks the model and learns from feedback.

    Attributes:
        policy: its name; or a table of `name` and the policy's own constants.
        context: for whom a state is kept: each "user", each value of a field of the requests, or
            "none" but all together.
        contexts: how many states are kept; the least recently seen go.
        loss: how far an answer is from the truth that feedback tells: 0 or 1, or their distance
            divided by `scale`.
        scale: of the loss "absolute".
        answer: the output that the truth is compared with; the first by default.
        waiting: how many predictions may wait for feedback.
        log: bytes of the feedback log; the oldest records go.
        max_age: time after which feedback comes too late; for ever by default.
    """

    policy: str | dict[str, Any] = "thompson"
    context: str | FieldContext = "none"
    contexts: int = 1000
    loss: Literal["zero_one", "absolute"] = "zero_one"
    scale: float = 1.0
    answer: str = ""
    waiting: int = 50_000
    log: Size = 64 << 20
    max_age: Duration | None = None

    def check(self) -> None:
        """Check the policy and the bounds, too."""
        super().check()
        if isinstance(self.context, str) and self.context not in ("user", "none"):
            raise UsageError(
                f'context: expected "user", "none" or a field, found {self.context!r}',
                fix=f'for a state of each value of a field say {{ field = "{self.context}" }}',
            )
        if self.contexts < 1:
            raise UsageError(f"expected contexts of at least 1, found {self.contexts}")
        _ = self.made_policy(), self.made_loss(), self.log_limits()

    def made_policy(self) -> AnyPolicy:
        """Return the policy over the models of this route.

        Raises:
            UsageError: there is no such policy, or a constant of it will not do.
        """
        if isinstance(self.policy, str):
            return policy_named(self.policy, len(self.models))
        return policy_of(self.policy, len(self.models))

    def made_loss(self) -> Loss:
        """Return the loss.

        Raises:
            UsageError: the scale is not above 0.
        """
        return zero_one if self.loss == "zero_one" else absolute(self.scale)

    def log_limits(self) -> LogLimits:
        """Return the bounds of the feedback log.

        Raises:
            UsageError: one is not above 0.
        """
        log = parse_bytes(self.log, "log")
        aged = None if self.max_age is None else parse_seconds(self.max_age, "max_age")
        segment = max(1, min(LogLimits().segment_bytes, log // 4))
        return LogLimits(capacity=self.waiting, max_bytes=log, segment_bytes=segment, max_age=aged)


AnyRoute: TypeAlias = CanaryPlan | ShadowPlan | EnsemblePlan | SelectionPlan
ROUTES: dict[str, type[AnyRoute]] = {
    "canary": CanaryPlan,
    "shadow": ShadowPlan,
    "ensemble": EnsemblePlan,
    "selection": SelectionPlan,
}


def _check_share(share: float) -> None:
    if not 0.0 <= share <= 1.0:
        raise UsageError(f"expected a share in [0, 1], found {share:g}")
