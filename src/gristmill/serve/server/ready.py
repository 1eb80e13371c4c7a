"""What a server says of itself once it takes requests: one line, or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

if TYPE_CHECKING:
    from gristmill.serve.protocols.served import Served
    from gristmill.serve.server.opening import Capacity


class ReadyModel(msgspec.Struct, frozen=True):
    """What a server says of one of its models.

    Attributes:
        name: what requests call it.
        fingerprint: of its bundle.
        classes: class names; empty where it is no classifier.
        rows_per_second: in full batches, as measured while it was warmed up.
        p50_ms: milliseconds of one row alone, the median.
        version: of a registered model, as `v3`; empty for a bundle.
    """

    name: str
    fingerprint: str
    classes: tuple[str, ...]
    rows_per_second: float
    p50_ms: float
    version: str = ""

    @classmethod
    def of(cls, served: Served, capacity: Capacity) -> ReadyModel:
        """Return what is said of a model with a capacity."""
        return cls(
            name=served.name,
            fingerprint=served.version,
            classes=served.classes,
            rows_per_second=capacity.rows_per_second,
            p50_ms=round(capacity.seconds * 1000, 4),
            version=str(served.about.get("version", "")),
        )

    def __str__(self) -> str:
        said = [*([self.version] if self.version else []), self.fingerprint[:8]]
        if self.classes:
            said.append(f"{len(self.classes)} classes")
        said += [f"{_rounded(self.rows_per_second)} rows/s", f"p50 {self.p50_ms:.2g} ms"]
        return f"{self.name} ({', '.join(said)})"

    def brief(self) -> str:
        """Return what is said beside others: version and capacity."""
        said = [*([self.version] if self.version else []), f"{_rounded(self.rows_per_second)}/s"]
        return f"{self.name} ({', '.join(said)})"


class ReadyRoute(msgspec.Struct, frozen=True):
    """What a server says of one of its routes.

    Attributes:
        name: what requests call it.
        kind: canary, shadow, ensemble or selection.
        models: names of what stands behind it.
        says: what it does with them, in a few words.
    """

    name: str
    kind: str
    models: tuple[str, ...]
    says: str

    @classmethod
    def of(cls, served: Served) -> ReadyRoute:
        """Return what is said of a route."""
        about = served.about
        models = cast("list[str]", about["models"])
        return cls(served.name, str(about["kind"]), tuple(models), str(about["says"]))

    def __str__(self) -> str:
        return f"{self.name} ({self.says})"


class Ready(msgspec.Struct, frozen=True):
    """What a server says of itself.

    Attributes:
        url: where it answers.
        models: those that requests reach by name.
        pid: of its process.
        routes: the first one answers `/v1/predict`, or the first model without any.
        grpc: host and port where it answers gRPC; empty: nowhere.
    """

    url: str
    models: tuple[ReadyModel, ...]
    pid: int
    routes: tuple[ReadyRoute, ...] = ()
    grpc: str = ""

    def __str__(self) -> str:
        many = len(self.models) + len(self.routes) > 1
        models = [each.brief() if many else str(each) for each in self.models]
        what = ", ".join([*map(str, self.routes), *models])
        beside = f", gRPC at {self.grpc}" if self.grpc else ""
        return f"serving {what} at {self.url}{beside}  (Ctrl-C stops)"


def _rounded(number: float) -> str:
    """Return a number with two digits that count, thousands apart."""
    if number < 10:
        return f"{number:.2g}"
    return f"{round(number, 2 - len(str(int(number)))):,.0f}"
