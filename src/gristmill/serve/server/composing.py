"""From a plan to what answers: models opened, routes made of them, all closed at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gristmill.core.errors import GristmillError, UsageError
from gristmill.core.quantities import parse_seconds
from gristmill.serve.journal.secret_keys import secret_key
from gristmill.serve.protocols.served import Served
from gristmill.serve.routing.canary import Canary
from gristmill.serve.routing.ensemble import Ensemble
from gristmill.serve.routing.selected import (
    LABEL,
    ContextOf,
    Selected,
    by_field,
    by_user,
    no_context,
)
from gristmill.serve.routing.shadow import Shadow
from gristmill.serve.selection.feedback_log import FeedbackLog
from gristmill.serve.server.following import open_followed
from gristmill.serve.server.keeping import check_place, kept
from gristmill.serve.server.opening import Opened, open_endpoint
from gristmill.serve.server.route_plans import CanaryPlan, EnsemblePlan, SelectionPlan, ShadowPlan
from gristmill.serve.server.serving_folder import hold_serving_folder

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Endpoint
    from gristmill.serve.protocol import Limits
    from gristmill.serve.routing.composite import Composite
    from gristmill.serve.server.serving_plan import ServingPlan
    from gristmill.serve.server.settings import Settings


_CONTEXT_KINDS = ("string", "int", "bool")


class OpenedModel(NamedTuple):
    """A model, and what it was opened with.

    Attributes:
        served: the model as requests reach it, if they do.
        opened: the model itself.
        limits: of its requests.
        hidden: whether only routes ask it.
    """

    served: Served
    opened: Opened
    limits: Limits
    hidden: bool


class Composed(NamedTuple):
    """What a server serves.

    Attributes:
        models: all of them, hidden ones, too.
        routes: in the order of the plan.
    """

    models: list[OpenedModel]
    routes: list[Served]

    @property
    def served(self) -> list[Served]:
        """What requests reach: routes before models."""
        return [*self.routes, *(each.served for each in self.models if not each.hidden)]


@asynccontextmanager
async def composed(plan: ServingPlan, settings: Settings) -> AsyncIterator[Composed]:
    """Open what a plan names; close it at the end of the block, routes before their models.

    Args:
        plan: checked.
        settings: of the server; a model's own in the plan come before them.

    Raises:
        BundleError: a bundle is damaged or was tampered with.
        ServeError: a model fails on a sample row, the models of a route do not fit together, or
            another server uses the folder.
        StoreError: a feedback log, a key or a registry cannot be read.
        UsageError: no such model is registered.
    """
    if plan.origin and not settings.watch_folder:
        settings = msgspec.structs.replace(settings, watch_folder=str(plan.served_folder))
    check_place(settings)  # before seconds go by with opening models
    async with AsyncExitStack() as stack:
        if any(isinstance(route, SelectionPlan) for route in plan.routes.values()):
            # Before anything is opened: two servers must not learn in the same logs.
            stack.enter_context(hold_serving_folder(Path(plan.folder)))
        models = []
        for name in plan.models:
            models.append(await _model(name, plan, settings))
            stack.push_async_callback(models[-1].served.endpoint.close)
        endpoints = dict(zip(plan.models, (each.opened.endpoint for each in models), strict=True))
        for name in _inner_first(plan):
            endpoints[name] = _route(name, plan, endpoints)
            stack.push_async_callback(endpoints[name].close)
        routes = []
        for name, route in plan.routes.items():
            with _told(plan.where("routes", name)):
                routes.append(_served(name, endpoints[name], plan, route.settings(settings)))
            if routes[-1].endpoint is not endpoints[name]:
                stack.push_async_callback(routes[-1].endpoint.close)
        yield Composed(models, routes)


async def _model(name: str, plan: ServingPlan, settings: Settings) -> OpenedModel:
    model = plan.models[name]
    own = model.settings(settings)
    with _told(plan.where("models", name)):
        if model.registry:
            opened = await open_followed(name, model, own)
        else:
            opened = await open_endpoint(name, model.bundle, own)
    if model.hidden:  # what a route answers with it is kept with the route
        own = msgspec.structs.replace(own, keep=None)
    try:
        with _told(plan.where("models", name)):
            served = _served(name, opened.endpoint, plan, own)
    except BaseException:
        await opened.endpoint.close()
        raise
    return OpenedModel(served, opened, own.limits, model.hidden)


def _served(name: str, endpoint: Endpoint, plan: ServingPlan, settings: Settings) -> Served:
    served = Served(kept(endpoint, settings), settings.limits, mode=settings.schema)
    served.decides = name not in plan.members()
    return served


def _inner_first(plan: ServingPlan) -> list[str]:
    """Return the names of routes in an order in which each follows those that it stands on."""
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in plan.routes and name not in found:
            for member in plan.routes[name].models:
                visit(member)
            found[name] = None

    for name in plan.routes:
        visit(name)
    return list(found)


def _route(name: str, plan: ServingPlan, endpoints: Mapping[str, Endpoint]) -> Composite:
    route = plan.routes[name]
    members = [endpoints[member] for member in route.models]
    with _told(plan.where("routes", name), name):
        if isinstance(route, EnsemblePlan):
            return _ensemble(name, route, members)
        if isinstance(route, SelectionPlan):
            return _selected(name, route, members, plan.route_folder(name))
        if isinstance(route, ShadowPlan):
            return _shadow(name, route, members)
        return _canary(name, route, members, plan.route_folder(name))


def _ensemble(name: str, route: EnsemblePlan, members: list[Endpoint]) -> Ensemble:
    margin = parse_seconds(route.margin)
    return Ensemble(name, members, how=route.how, at_least=route.at_least, margin=margin)


def _shadow(name: str, route: ShadowPlan, members: list[Endpoint]) -> Shadow:
    return Shadow(
        name,
        *members,
        share=route.share,
        seconds=parse_seconds(route.timeout),
        most=route.most_copies,
        tolerance=route.tolerance,
    )


def _canary(name: str, route: CanaryPlan, members: list[Endpoint], folder: Path) -> Canary:
    # Kept, so that users stay on their side over a restart; copied to where others serve, too.
    fix = "remove it: users are then dealt out anew"
    key = secret_key(folder / "key", fix=fix)
    stable, candidate = members
    return Canary(
        name, stable, candidate, route.share, key=key, by=route.by, fall_back=route.fall_back
    )


def _selected(name: str, route: SelectionPlan, members: list[Endpoint], folder: Path) -> Selected:
    outputs = [field.name for field in members[0].outputs]
    known = dict.fromkeys([*([LABEL] if members[0].classes else []), *outputs])
    if route.answer and route.answer not in known:
        raise UsageError(
            f"answer: its models have no output {route.answer!r}",
            fix=f"their outputs are {', '.join(known)}",
        )
    context = _context(route, members[0])
    labels = route.loss == "zero_one" and route.answer in ("", LABEL)
    log = FeedbackLog(
        folder,
        route.made_policy(),
        route.models,
        loss=route.made_loss(),
        classes=members[0].classes if labels else (),
        most_contexts=route.contexts,
        limits=route.log_limits(),
    )
    try:
        return Selected(name, members, log, context=context, answer=route.answer or None)
    except BaseException:
        log.close()
        raise


def _context(route: SelectionPlan, member: Endpoint) -> ContextOf:
    """Return what says for whom or what a state is kept."""
    if isinstance(route.context, str):
        return by_user if route.context == "user" else no_context
    found = [field.name for field in member.inputs if field.kind in _CONTEXT_KINDS]
    if route.context.field not in found:
        raise UsageError(
            f"context: its models read no field {route.context.field!r} of few values",
            fix=f"fields that can be a context: {', '.join(found) or 'none'}",
        )
    return by_field(route.context.field)


@contextmanager
def _told(where: str, route: str = "") -> Iterator[None]:
    """Let an error say which part of the plan it is about."""
    try:
        yield
    except GristmillError as error:
        if where:
            known = error.where and error.where != f"route {route!r}"
            error.where = f"{where}: {error.where}" if known else where
        raise
