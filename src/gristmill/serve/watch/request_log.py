"""A line of log for each request: as text, or as JSON for machines; with the request's id."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from typing import Any


class Asked(Protocol):
    """What is logged of a request."""

    method: str
    name: str


class Way(Protocol):
    """What is logged of the route it took."""

    name: str
    model: str


class RequestLog:
    """Logs requests at level info.

    Args:
        log: where to.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log

    @property
    def wanted(self) -> bool:
        """Whether anyone reads it."""
        return self._log.isEnabledFor(logging.INFO)

    def answered(
        self, request: Asked, route: Way | None, status: int, seconds: float, bytes_: int
    ) -> None:
        """Log an answer: its route (never the path, which a client makes up), status and time."""
        name = route.name if route else "other"
        fields = {
            "request": request.name,
            "method": request.method[:16],
            "route": name,
            "status": status,
            "milliseconds": round(seconds * 1000, 3),
            "bytes": bytes_,
        }
        if route and route.model:
            fields["model"] = route.model
        text = "%s %s %d %.1f ms %s"
        words = (fields["method"], name, status, seconds * 1000, request.name)
        self._log.info(text, *words, extra={"fields": fields})

    def left(self, request: Asked, route: Way | None) -> None:
        """Log that a client went away before its request was complete."""
        fields = {
            "request": request.name,
            "method": request.method[:16],
            "route": route.name if route else "other",
        }
        words = (fields["method"], fields["route"], request.name)
        self._log.info("%s %s: the client left %s", *words, extra={"fields": fields})


class JsonLines(logging.Formatter):
    """Writes each record as one line of JSON: time (UTC), level, message, and its own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


class TextLines(logging.Formatter):
    """Writes each record as text behind its time (UTC) and level."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
