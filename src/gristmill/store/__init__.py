"""What happened and what came of it: artifacts by content, runs, lineage, the model registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.store.bundle import Bundle as Bundle
    from gristmill.store.codecs import Storable as Storable
    from gristmill.store.decision import Decision as Decision
    from gristmill.store.lineage import Origin as Origin
    from gristmill.store.lineage import trace as trace
    from gristmill.store.project import Project as Project
    from gristmill.store.project import current_project as current_project
    from gristmill.store.project import find_project as find_project
    from gristmill.store.registry import Registry as Registry
    from gristmill.store.runs import RunLog as RunLog

_EXPORTS = {
    "Bundle": "bundle",
    "Decision": "decision",
    "Origin": "lineage",
    "Project": "project",
    "Registry": "registry",
    "RunLog": "runs",
    "Storable": "codecs",
    "current_project": "project",
    "find_project": "project",
    "trace": "lineage",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
