"""Where work runs: one interface, and the engines behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.engine.inline import Inline as Inline
    from gristmill.engine.local import LocalProcesses as LocalProcesses
    from gristmill.engine.opening import open_engine as open_engine
    from gristmill.engine.protocol import Actor as Actor
    from gristmill.engine.protocol import Engine as Engine

_EXPORTS = {
    "Actor": "protocol",
    "Engine": "protocol",
    "Inline": "inline",
    "LocalProcesses": "local",
    "open_engine": "opening",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
