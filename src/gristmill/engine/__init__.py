"""Where work runs: one interface, and the engines behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.engine.current import chosen_engine as chosen_engine
    from gristmill.engine.current import current_engine as current_engine
    from gristmill.engine.current import using_engine as using_engine
    from gristmill.engine.inline import Inline as Inline
    from gristmill.engine.local import LocalProcesses as LocalProcesses
    from gristmill.engine.opening import open_engine as open_engine
    from gristmill.engine.outcome import Outcome as Outcome
    from gristmill.engine.protocol import Actor as Actor
    from gristmill.engine.protocol import Engine as Engine
    from gristmill.engine.versions import Versions as Versions

_EXPORTS = {
    "Actor": "protocol",
    "Engine": "protocol",
    "Inline": "inline",
    "LocalProcesses": "local",
    "Outcome": "outcome",
    "Versions": "versions",
    "chosen_engine": "current",
    "current_engine": "current",
    "open_engine": "opening",
    "using_engine": "current",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
