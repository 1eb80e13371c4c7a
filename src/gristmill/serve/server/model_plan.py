"""What the serving file may say of one model: where it comes from, and its own settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from gristmill.core.errors import UsageError
from gristmill.core.quantities import parse_bytes, parse_seconds
from gristmill.store.decision import CHAMPION

if TYPE_CHECKING:
    from gristmill.serve.server.settings import Settings

Size: TypeAlias = int | str
"""Bytes: a number, or a text such as "64MB"."""
Duration: TypeAlias = float | str
"""Seconds: a number, or a text such as "100ms"."""


class AtTheDoor(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What a model and a route may each have for themselves, instead of the server's options.

    Attributes:
        deadline: time in which a request is answered, unless it says another.
        schema: what to do about a value outside its field's limits: reject, warn or off.
    """

    deadline: Duration | None = None
    schema: Literal["reject", "warn", "off"] | None = None

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
            seconds = parse_seconds(self.deadline)
            most = max(seconds, common.limits.max_deadline)
            changes["limits"] = msgspec.structs.replace(
                common.limits, deadline=seconds, max_deadline=most
            )
        return msgspec.structs.replace(common, **changes)


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
    every: Duration = 0.5
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
        if not parse_seconds(self.every) > 0:
            raise UsageError(f"expected every above 0, found {self.every}")

    def settings(self, common: Settings) -> Settings:
        """Return the server's settings with those of this model in their place."""
        names = ("replicas", "threads", "cache", "streams", "watch")
        own = {name: getattr(self, name) for name in names}
        changes = {name: value for name, value in own.items() if value is not None}
        for name in changes.keys() & {"cache", "streams"}:
            changes[name] = parse_bytes(changes[name])
        return msgspec.structs.replace(super().settings(common), **changes)
