"""Incremental inference: after a small change of the input, only what it reaches is recomputed.

stream = Model.from_module(network, example).stream()
for frame in open_video("street.mp4"):
    answer = stream(frame.image)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.incremental.bounded.audit import Audit as Audit
    from gristmill.incremental.bounded.audits import Audits as Audits
    from gristmill.incremental.changes.noise import Noise as Noise
    from gristmill.incremental.model import Model as Model
    from gristmill.incremental.occlusion.heat_map import HeatMap as HeatMap
    from gristmill.incremental.pixels import Pixels as Pixels
    from gristmill.incremental.stream import Answer as Answer
    from gristmill.incremental.stream import Stream as Stream
    from gristmill.incremental.streams import Streams as Streams
    from gristmill.incremental.video.source import open_video as open_video

_EXPORTS = {
    "Answer": "stream",
    "Audit": "bounded.audit",
    "Audits": "bounded.audits",
    "HeatMap": "occlusion.heat_map",
    "Model": "model",
    "Noise": "changes.noise",
    "Pixels": "pixels",
    "Stream": "stream",
    "Streams": "streams",
    "open_video": "video.source",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
