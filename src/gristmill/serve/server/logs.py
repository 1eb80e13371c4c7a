"""Where the server's log goes: lines of text or of JSON, to stderr."""

from __future__ import annotations

import logging

from gristmill.core.errors import UsageError
from gristmill.serve.watch.request_log import JsonLines, TextLines

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")
_NAMES = ("gristmill.serve", "uvicorn.error")
_EVENTS = "gristmill.serve.events"
"""What happens to a server once in a while, such as another version that answers."""


def set_up_logs(level: str, form: str = "text") -> None:
    """Send the log of the server, and of uvicorn below it, to stderr.

    Args:
        level: one of `LEVELS`; `info` is a line for each request. Events are told but at `error`.
        form: one of `FORMATS`.

    Raises:
        UsageError: another level or form.
    """
    if level not in LEVELS:
        raise UsageError(f"expected a log level of {', '.join(LEVELS)}, found {level!r}")
    if form not in FORMATS:
        raise UsageError(f"expected a log format of {', '.join(FORMATS)}, found {form!r}")
    for name in _NAMES:
        log = logging.getLogger(name)
        # Uvicorn warns of each malformed request; what matters of these is in ours.
        log.setLevel(level.upper() if name == _NAMES[0] else "ERROR")
        for handler in [each for each in log.handlers if getattr(each, "gristmill", False)]:
            log.removeHandler(handler)
        log.addHandler(_handler(form))
        log.propagate = False

    quiet = level == "error"
    logging.getLogger(_EVENTS).setLevel("ERROR" if quiet else "INFO")


def _handler(form: str) -> logging.Handler:
    handler = logging.StreamHandler()
    handler.gristmill = True  # type: ignore[attr-defined]
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    return handler
