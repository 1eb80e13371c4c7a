"""`gristmill models`: what is registered, and what answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from gristmill.cli.output import HELP, emit, json_option, say, say_folded, table
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
    gristmill models                  every model with its aliases
    gristmill models spam             its versions, their figures, who named them
    gristmill models spam@champion    how it was made, and what differs here
    gristmill models spam@3           the same, by its number
    """
    from gristmill.store.project import find_project
    from gristmill.store.registry import Registry

    with find_project() as project:
        registry = Registry(project)
        if model is None:
            models = [_model(registry, name) for name in registry.models()]
            emit(models, as_json, lambda: _list(models))
        elif "@" in model:
            found = _version(project, registry, model)
            emit(found, as_json, lambda: _show_version(found))
        else:
            found = _versions(project, registry, model)
            emit(found, as_json, lambda: _show(found))


def _model(registry: Registry, name: str) -> dict[str, Any]:
    aliases = registry.aliases(name)
    return {
        "model": name,
        "versions": len(registry.versions(name)),
        "aliases": {alias: entry.version for alias, entry in sorted(aliases.items())},
        "last": max((entry.at for entry in aliases.values()), default=None),
        "log_changed": bool(registry.seals(name).broken),
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
    _say_changed(models)


def _say_changed(models: list[dict[str, Any]]) -> None:
    for name in (item["model"] for item in models if item["log_changed"]):
        say_folded(
            f"note: the log of {name!r} was changed by other means than Gristmill's: see "
            f"`gristmill history {name}`"
        )


def _versions(project: Project, registry: Registry, model: str) -> dict[str, Any]:
    """Return what is known of a model and of each version, newest first."""
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
    changed = bool(registry.seals(model).broken)
    return {"model": model, "versions": found, "log_changed": changed}


def _version(project: Project, registry: Registry, text: str) -> dict[str, Any]:
    """Return what a version's bundle says of itself, and of how it was made.

    Raises:
        UsageError: there is no such version.
    """
    from gristmill.core.errors import UsageError
    from gristmill.store.bundle import Bundle
    from gristmill.store.runs import RunLog

    model, _, wanted = text.partition("@")
    version = (
        registry.version(model, int(wanted)) if wanted.isdigit() else registry.live(model, wanted)
    )
    if version is None:
        known = ", ".join(sorted(registry.aliases(model))) or "none"
        raise UsageError(f"nothing of {model!r} is called {wanted!r}", fix=f"its aliases: {known}")
    artifact = RunLog(project).artifact(version.artifact)
    if artifact.kind != "bundle":
        raise UsageError(f"{text} is a {artifact.kind}, not a bundle")
    bundle = Bundle.open(RunLog(project).files(artifact.digest))
    recipe = bundle.recipe()
    return {
        "model": model,
        "version": version.version,
        "artifact": version.artifact,
        "fingerprint": bundle.fingerprint,
        "run": version.run,
        "metrics": bundle.manifest.metrics,
        "lineage": bundle.manifest.lineage,
        "environment": bundle.manifest.environment,
        "differences": bundle.differences_here(),
        "recipe": None if recipe is None else msgspec.to_builtins(recipe),
    }


def _show_version(found: dict[str, Any]) -> None:
    recipe = found["recipe"]
    say(f"{found['model']} version {found['version']}, bundle {found['fingerprint'][:12]}")
    made = ", ".join(f"{name} {value}" for name, value in found["environment"].items())
    say(f"  made in    {made}")
    for difference in found["differences"]:
        say(f"  note       {difference}")
    if recipe is None:
        say("  no recipe: no step of a pipeline wrote this bundle, or an older Gristmill did")
        return
    say(f"  made by    step {recipe['step']} of {recipe['pipeline']}, key {recipe['key'][:12]}")
    say(f"  commit     {recipe['commit'] or 'none'}")
    for title, kept in (("setting", recipe["settings"]), ("input", recipe["inputs"])):
        for name, value in kept.items():
            say(f"  {title:<10} {name}: {value}")
    say(f"  again by   {recipe['command']}")


def _show(found: dict[str, Any]) -> None:
    rows = []
    for item in found["versions"]:
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
    _say_changed([found])
