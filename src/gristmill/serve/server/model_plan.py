"""What the serving file may say of one model: where it comes from, and its own settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from gristmill.core.errors import UsageError
from gristmill.core.quantities import parse_bytes, parse_seconds
from gristmill.serve.watch.keeping import Keeping
from gristmill.store.decision import CHAMPION

if TYPE_CHECKING:
    from gristmill.serve.server.settings import Settings

Size: TypeAlias = int | str
"""Bytes: a number, or a text such as "64MB"."""
Duration: TypeAlias = float | str
"""Seconds: a number, or a text such as "100ms"."""


class KeepPlan(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """How much of the predictions is kept.

    Attributes:
        rate: share of requests, above 0 and at most 1.
        key: the field with the user's own id of a row.
        bytes: of the files of each server process; the oldest predictions are dropped.
        age: time after which predictions are dropped.
        tensor_bytes: tensors that are larger, a row, are left out.
        without: fields that are never written down.
    """

    rate: float = 1.0
    key: str = ""
    bytes: Size | None = None
    age: Duration | None = None
    tensor_bytes: Size | None = None
    without: tuple[str, ...] = ()

    def keeping(self) -> Keeping:
        """Return the same in bytes and seconds.

        Raises:
            UsageError: a figure that makes no sense.
        """
        found: dict[str, Any] = {}
        if self.bytes is not None:
            found["max_bytes"] = parse_bytes(self.bytes, "bytes")
        if self.age is not None:
            found["max_age"] = parse_seconds(self.age, "age")
        if self.tensor_bytes is not None:
            found["tensor_bytes"] = parse_bytes(self.tensor_bytes, "tensor_bytes")
        return Keeping(rate=self.rate, key=self.key, without=self.without, **found)


class AtTheDoor(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What a model and a route may each have for themselves, instead of the server's options.

    Attributes:
        deadline: time in which a request is answered, unless it says another.
        schema: what to do about a value outside its field's limits: reject, warn or off.
        keep_predictions: whether predictions are kept, for what turns out to be true of them: a
            share of requests, or a table that also says how much, how long, and under which key.
    """

    deadline: Duration | None = None
    schema: Literal["reject", "warn", "off"] | None = None
    keep_predictions: bool | float | KeepPlan | None = None

    def check(self) -> None:
        """Check what is said here by itself.

        Raises:
            UsageError: a figure that makes no sense.
        """
        from gristmill.serve.server.settings import Settings

        self.settings(Settings())

    def settings(self, common: Settings) -> Settings:
        """Return the server's settings with what is said here in their place."""
        changes: dict[str, Any] = {}
        if self.schema is not None:
            changes["schema"] = self.schema
        if self.deadline is not None:
            seconds = parse_seconds(self.deadline, "deadline")
            most = max(seconds, common.limits.max_deadline)
            changes["limits"] = msgspec.structs.replace(
                common.limits, deadline=seconds, max_deadline=most
            )
        if self.keep_predictions is not None:
            changes["keep"] = keeping_of(self.keep_predictions)
        return msgspec.structs.replace(common, **changes)


def keeping_of(said: bool | float | KeepPlan) -> Keeping | None:
    """Return how much is kept; None for nothing.

    Raises:
        UsageError: a figure that makes no sense.
    """
    if said is False:
        return None
    try:
        return said.keeping() if isinstance(said, KeepPlan) else Keeping(rate=float(said))
    except UsageError as error:
        raise UsageError(f"keep_predictions: {error.message}", fix=error.fix) from error


class ModelPlan(AtTheDoor, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model: where it comes from, and its own settings.

    Attributes:
        bundle: folder of a bundle; or
        registry: a model of a project's registry, whose live version answers.
        project: a folder of that project, or one inside it.
        alias: which of its aliases; the champion by default.
        every: time between two looks at the registry.
        hidden: whether only routes can ask it.
        replicas, threads, cache, streams, watch: as the options of the same names.
    """

    bundle: str = ""
    registry: str = ""
    alias: str = CHAMPION
    project: str = "."
    every: Duration = 0.25
    hidden: bool = False
    replicas: int | None = None
    threads: int | None = None
    cache: Size | None = None
    streams: Size | None = None
    watch: bool | None = None

    def check(self) -> None:
        """Check what one model says by itself.

        Raises:
            UsageError: not exactly one source, or a figure that makes no sense.
        """
        super().check()
        if bool(self.bundle) == bool(self.registry):
            raise UsageError(
                f"expected either bundle or registry, found {'both' if self.bundle else 'neither'}",
                fix='say bundle = "FOLDER", or registry = "MODEL" of a project',
            )
        if self.hidden and self.keep_predictions:
            raise UsageError(
                "keep_predictions: nobody asks a hidden model itself",
                fix="say it of the route that asks it",
            )
        if not parse_seconds(self.every, "every") > 0:
            raise UsageError(f"expected every above 0, found {self.every}")

    def settings(self, common: Settings) -> Settings:
        """Return the server's settings with those of this model in their place."""
        names = ("replicas", "threads", "cache", "streams", "watch")
        own = {name: getattr(self, name) for name in names}
        changes = {name: value for name, value in own.items() if value is not None}
        for name in changes.keys() & {"cache", "streams"}:
            changes[name] = parse_bytes(changes[name], name)
        return msgspec.structs.replace(super().settings(common), **changes)
