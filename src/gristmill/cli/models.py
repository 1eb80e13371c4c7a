"""`gristmill models`: what is registered, and what answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gristmill.cli.output import HELP, emit, json_option, say, table
from gristmill.core.moments import format_moment

if TYPE_CHECKING:
    from gristmill.store.project import Project
    from gristmill.store.registry import Registry

_METRICS = 4


@click.command("models", context_settings=HELP)
@click.argument("model", required=False)
@json_option
def command(model: str | None, as_json: bool) -> None:
    """List the registered models and what answers, or the versions of one.

    \b
    gristmill models          every model with its aliases
    gristmill models spam     its versions, with their figures and who named them
    """
    from gristmill.store.project import find_project
    from gristmill.store.registry import Registry

    with find_project() as project:
        registry = Registry(project)
        if model is None:
            models = [_model(registry, name) for name in registry.models()]
            emit(models, as_json, lambda: _list(models))
        else:
            versions = _versions(project, registry, model)
            emit({"model": model, "versions": versions}, as_json, lambda: _show(versions))


def _model(registry: Registry, name: str) -> dict[str, Any]:
    aliases = registry.aliases(name)
    return {
        "model": name,
        "versions": len(registry.versions(name)),
        "aliases": {alias: entry.version for alias, entry in sorted(aliases.items())},
        "last": max((entry.at for entry in aliases.values()), default=None),
    }


def _list(models: list[dict[str, Any]]) -> None:
    if not models:
        say("no model is registered yet: `gristmill.pipeline.release` in a step registers one")
        return
    rows = [
        [
            item["model"],
            item["versions"],
            ", ".join(f"{alias} {number}" for alias, number in item["aliases"].items()) or "none",
            "" if item["last"] is None else format_moment(item["last"]),
        ]
        for item in models
    ]
    table("", ["model", "versions", "aliases", "last moved"], rows)


def _versions(project: Project, registry: Registry, model: str) -> list[dict[str, Any]]:
    """Return what is known of each version, newest first."""
    from gristmill.store.runs import RunLog

    log = RunLog(project)
    known = registry.versions(model)
    if not known:
        registry.version(model, 1)  # says which models there are
    history = registry.history(model)
    aliases = registry.aliases(model)
    found = []
    for each in reversed(known):
        decided = [entry for entry in history if entry.version == each.version]
        found.append(
            {
                "version": each.version,
                "aliases": sorted(
                    a for a, entry in aliases.items() if entry.version == each.version
                ),
                "verdict": decided[-1].verdict if decided else None,
                "created": each.created,
                "run": each.run,
                "artifact": each.artifact,
                "metrics": log.artifact(each.artifact).summary.get("metrics", {}),
            }
        )
    return found


def _show(versions: list[dict[str, Any]]) -> None:
    rows = []
    for item in versions:
        figures = list(item["metrics"].items())[:_METRICS]
        rows.append(
            [
                item["version"],
                ", ".join(item["aliases"]),
                item["verdict"] or "",
                format_moment(item["created"]),
                item["artifact"][:12],
                ", ".join(f"{name} {value:.3f}" for name, value in figures),
            ]
        )
    table("", ["version", "aliases", "verdict", "registered", "artifact", "figures"], rows)
