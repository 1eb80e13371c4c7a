"""What happened and what came of it: artifacts by content, runs, lineage, the model registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.store.bundle import Bundle as Bundle
    from gristmill.store.codecs import Storable as Storable
    from gristmill.store.decision import Decision as Decision
    from gristmill.store.enclosures import Enclosure as Enclosure
    from gristmill.store.enclosures import enclosures_of as enclosures_of
    from gristmill.store.enclosures import find_enclosure as find_enclosure
    from gristmill.store.lineage import Relative as Relative
    from gristmill.store.lineage import ancestors as ancestors
    from gristmill.store.lineage import descendants as descendants
    from gristmill.store.monitorings import Monitoring as Monitoring
    from gristmill.store.monitorings import Monitorings as Monitorings
    from gristmill.store.project import Project as Project
    from gristmill.store.project import current_project as current_project
    from gristmill.store.project import find_project as find_project
    from gristmill.store.registry import Registry as Registry
    from gristmill.store.runs import RunLog as RunLog

_EXPORTS = {
    "Bundle": "bundle",
    "Decision": "decision",
    "Enclosure": "enclosures",
    "Monitoring": "monitorings",
    "Monitorings": "monitorings",
    "Project": "project",
    "Registry": "registry",
    "Relative": "lineage",
    "RunLog": "runs",
    "Storable": "codecs",
    "ancestors": "lineage",
    "current_project": "project",
    "descendants": "lineage",
    "enclosures_of": "enclosures",
    "find_enclosure": "enclosures",
    "find_project": "project",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
