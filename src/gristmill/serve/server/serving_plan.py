"""All that a server serves: models, and routes over them.

Read from `serving.toml` by `serving_file`, or made of what the command line names by `plan_of`;
`composing` opens it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from gristmill.core.errors import GristmillError, UsageError
from gristmill.core.suggestion import did_you_mean
from gristmill.serve.server.model_plan import ModelPlan
from gristmill.serve.server.route_plans import AnyRoute
from gristmill.store.bundle import Bundle
from gristmill.store.decision import CHAMPION

if TYPE_CHECKING:
    from gristmill.serve.server.opening import Source, Sources

FOLDER = "serving"
REGISTRY = "registry:"
_ODD_NAME = set("/?#\\") | {chr(code) for code in (*range(32), 127)}


class ServingPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a server serves.

    Attributes:
        models: by the name that requests call them; an empty name stands for the bundle's own.
        routes: by name; the first one answers `/v1/predict`, or the first model without any.
        folder: where feedback logs, keys and profiles live.
        origin: the file that says so; empty where it came from a command line.
    """

    models: Mapping[str, ModelPlan]
    routes: Mapping[str, AnyRoute] = {}
    folder: str = FOLDER
    origin: str = ""

    def where(self, section: Literal["models", "routes"], name: str) -> str:
        """Return how an error names a model or a route."""
        if self.origin:
            return f"{self.origin}, [{section}.{name}]"
        return f"{section.removesuffix('s')} {name!r}" if name else ""

    def route_folder(self, name: str) -> Path:
        """Return the folder of what is kept of a route."""
        return Path(self.folder) / "routes" / name

    @property
    def served_folder(self) -> Path:
        """The folder of statistics of what was served."""
        return Path(self.folder) / "served"

    def members(self) -> frozenset[str]:
        """Return the names of what stands behind a route."""
        return frozenset(name for route in self.routes.values() for name in route.models)

    def checked(self) -> ServingPlan:
        """Return this plan if it can be served.

        Raises:
            UsageError: a name that no path can hold, that is there twice or that nobody gave; a
                setting that makes no sense; routes in a circle; a hidden model that nobody asks.
        """
        if not self.models:
            raise UsageError(
                "expected a model to serve, found none",
                where=self.origin or None,
                fix='add [models.NAME] with bundle = "FOLDER"',
            )
        for name, model in self.models.items():
            self._check_name("models", name)
            self._placed("models", name, model)
        for name, route in self.routes.items():
            self._check_name("routes", name)
            self._placed("routes", name, route)
            self._check_members(name, route)
        self._check_circles()
        self._check_hidden()
        return self

    def _placed(
        self, section: Literal["models", "routes"], name: str, part: ModelPlan | AnyRoute
    ) -> None:
        try:
            part.check()
        except GristmillError as error:
            where = self.where(section, name)
            raise UsageError(error.message, where=where, fix=error.fix) from error

    def _check_name(self, section: Literal["models", "routes"], name: str) -> None:
        where = self.where(section, name)
        alone = not name and len(self.models) == 1 and not self.routes
        if not alone and not good_name(name):
            raise UsageError(
                f"{name!r} cannot be part of a path",
                where=where,
                fix="take a name without / ? # \\ and control characters",
            )
        if section == "routes" and name in self.models:
            raise UsageError(
                f"a model and a route have the name {name!r}",
                where=where,
                fix="rename the model: requests should find the route",
            )

    def _check_members(self, name: str, route: AnyRoute) -> None:
        known = [each for each in (*self.models, *self.routes) if each != name]
        for member in route.models:
            if member not in known and member != name:  # itself is a circle: see there
                raise UsageError(
                    f"models: there is no model or route {member!r}",
                    where=self.where("routes", name),
                    fix=did_you_mean(member, known, f"it may name {', '.join(known)}")
                    if known
                    else None,
                )

    def _check_circles(self) -> None:
        done: set[str] = set()

        def visit(name: str, path: tuple[str, ...]) -> None:
            if name in path:
                circle = " -> ".join([*path[path.index(name) :], name])
                raise UsageError(
                    f"models: routes go in a circle: {circle}",
                    where=self.where("routes", name),
                    fix="a route may only stand on models and on routes that do not lead back",
                )
            if name in self.routes and name not in done:
                for member in self.routes[name].models:
                    visit(member, (*path, name))
                done.add(name)

        for name in self.routes:
            visit(name, ())

    def _check_hidden(self) -> None:
        members = self.members()
        for name, model in self.models.items():
            if model.hidden and name not in members:
                raise UsageError(
                    "hidden: no route asks this model, so nobody could",
                    where=self.where("models", name),
                    fix="remove `hidden`, or name the model in a route",
                )


def good_name(name: str) -> bool:
    """Say whether a name can be part of a path."""
    return bool(name) and name not in (".", "..") and not set(name) & _ODD_NAME


def plan_of(sources: Sources | ServingPlan) -> ServingPlan:
    """Return the plan for what `serve` is given, checked.

    Args:
        sources: a bundle, its folder, `registry:MODEL[@ALIAS]` or a serving file (`*.toml`);
            several of the first three by the name that they are served under; or a plan.

    Raises:
        UsageError: the file or the plan is wrong, or a file stands beside other sources.
    """
    if isinstance(sources, ServingPlan):
        return sources.checked()
    named = dict(sources) if isinstance(sources, Mapping) else {"": sources}
    files = [str(source) for source in named.values() if is_serving_file(source)]
    if files and len(named) == 1:
        from gristmill.serve.server.serving_file import read_plan

        return read_plan(files[0])
    if files:
        raise UsageError(
            f"expected {files[0]} alone, found it beside other sources",
            fix="name the others in the file, under [models]",
        )
    models = [_model(name, source) for name, source in named.items()]
    return ServingPlan(models=dict(models)).checked()


def is_serving_file(source: Source) -> bool:
    """Say whether a source is a serving file rather than a bundle."""
    return not isinstance(source, Bundle) and str(source).endswith(".toml")


def _model(name: str, source: Source) -> tuple[str, ModelPlan]:
    if isinstance(source, Bundle):
        return name, ModelPlan(bundle=str(source.folder))
    text = str(source)
    if text.startswith(REGISTRY) and not Path(text).is_dir():
        model, at, alias = text.removeprefix(REGISTRY).partition("@")
        if not model or (at and not alias):
            raise UsageError("expected registry:MODEL or registry:MODEL@ALIAS", where=text)
        return name or model, ModelPlan(registry=model, alias=alias or CHAMPION)
    return name, ModelPlan(bundle=text)
