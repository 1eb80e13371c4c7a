"""Models that come from a registry: the live version opened, and followed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.core.errors import ServeError, UsageError
from gristmill.core.quantities import parse_seconds
from gristmill.core.suggestion import did_you_mean
from gristmill.serve.routing.followed import Followed
from gristmill.serve.routing.registry_watcher import (
    RegistryWatcher,
    registered_bundle,
    version_name,
)
from gristmill.serve.server.opening import Opened, open_beside, open_endpoint
from gristmill.store.decision import CHAMPION
from gristmill.store.project import find_project
from gristmill.store.registry import ModelVersion, Registry

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Endpoint
    from gristmill.serve.server.model_plan import ModelPlan
    from gristmill.serve.server.settings import Settings
    from gristmill.store.bundle import Bundle
    from gristmill.store.project import Project


async def open_followed(name: str, plan: ModelPlan, settings: Settings) -> Opened:
    """Open the live version of a registered model; what is promoted later takes its place.

    Args:
        name: what requests call it.
        plan: which model of which project, and how often to look.
        settings: of the model.

    Raises:
        UsageError: no such model is registered, or the project's folder is not there.
        ServeError: none of its versions is live, or the live one fails on a sample row.
        BundleError: its bundle is damaged.
        StoreError: there is no project, or it cannot be read.
    """
    if not Path(plan.project).is_dir():
        # Else one of the folders above might be a project, and not the one that was meant.
        raise UsageError(f"project: there is no folder {plan.project!r}")
    with await asyncio.to_thread(find_project, plan.project) as project:
        champion = live_version(project, plan.registry, plan.alias)
        bundle = registered_bundle(project, champion)

        async def again(bundle: Bundle) -> Endpoint:
            return await open_beside(name, bundle, settings)

        every = parse_seconds(plan.every)
        opened = await open_endpoint(name, bundle, settings)
        route = Followed(name, opened.endpoint, version_name(champion))
        watcher = RegistryWatcher(
            project, plan.registry, route, again, alias=plan.alias, every=every
        )
        route.follow(watcher)
    return opened._replace(endpoint=route)


def live_version(project: Project, model: str, alias: str) -> ModelVersion:
    """Return the version that an alias of a model names.

    Raises:
        UsageError: no such model is registered.
        ServeError: the alias names none.
    """
    registry = Registry(project)
    live = registry.live(model, alias)
    if live is not None:
        return live
    versions, where = registry.versions(model), str(project.root)
    if not versions:
        known = registry.models()
        listed = f"known models: {', '.join(known)}" if known else "register a bundle first"
        raise UsageError(
            f"no model {model!r} is registered",
            where=where,
            fix=did_you_mean(model, known, listed),
        )
    raise ServeError(
        f"none of the {len(versions)} versions of {model!r} is its {alias}",
        where=where,
        fix=f"promote one: gristmill promote {model} {versions[-1].version}"
        + ("" if alias == CHAMPION else f" --alias {alias}"),
    )
