"""Gristmill: from raw data to a served, monitored model.

    label -> validate -> train -> serve

Each stage is a package of its own (`gristmill.label`, `gristmill.validate`, `gristmill.train`,
`gristmill.serve`) and can be used alone; `gristmill.pipeline` joins them. Everything loads on
first use, so that importing this package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill._version import __version__
from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill import data, label, pipeline, serve, store, train, validate, web
    from gristmill.core.errors import GristmillError
    from gristmill.pipeline.steps import step

_EXPORTS = {
    "GristmillError": "core.errors",
    "data": "",
    "label": "",
    "pipeline": "",
    "serve": "",
    "step": "pipeline.steps",
    "store": "",
    "train": "",
    "validate": "",
    "web": "",
}
__getattr__, __dir__, _names = lazy_exports(__name__, _EXPORTS)

__all__ = [
    "GristmillError",
    "__version__",
    "data",
    "label",
    "pipeline",
    "serve",
    "step",
    "store",
    "train",
    "validate",
    "web",
]
