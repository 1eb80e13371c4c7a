"""Which steps of a pipeline take part in a run, and with which settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from gristmill.core.errors import UsageError
from gristmill.pipeline.graph import AnyStep, Pipeline
from gristmill.pipeline.secrets import Secret
from gristmill.store.runs import Execution, RunLog

Settings = Mapping[str, Mapping[str, object]]
"""step name -> setting name -> value"""


@dataclass(frozen=True, slots=True)
class Selection:
    """The steps of a run.

    Attributes:
        steps: those that are brought up to date, in running order.
        taken: name -> execution whose stored result is taken as it is, up to date or not.
    """

    steps: list[AnyStep]
    taken: dict[str, Execution] = field(default_factory=dict)


def select(
    pipeline: Pipeline,
    log: RunLog | None,
    *,
    targets: Sequence[str] = (),
    start: Sequence[str] = (),
    only: Sequence[str] = (),
) -> Selection:
    """Choose the steps of a run.

    Args:
        log: the record of the project; None where nothing ever ran.
        targets: these and what they need; all by default.
        start: of those, these and what needs them.
        only: these alone, whatever they need.

    Raises:
        UsageError: a step does not exist, `only` stands beside others, nothing is left, or a
            result that is to be taken as stored is not.
    """
    if only and (targets or start):
        raise UsageError(
            "`only` names all steps that take part, so nothing else can",
            fix="use --only alone, or --from and --step together",
        )
    chosen = (
        {pipeline[name].name for name in only}
        if only
        else pipeline.upstream(targets or pipeline.names)
    )
    if start:
        following = pipeline.downstream(start)
        if not chosen & following:
            raise UsageError(f"{_listed(targets)} needs nothing of {_listed(start)}")
        chosen &= following
    steps = [step for step in pipeline.steps if step.name in chosen]
    return Selection(steps, _taken(pipeline, log, steps, chosen))


def check_forced(
    pipeline: Pipeline, steps: Sequence[AnyStep], force: Sequence[str]
) -> frozenset[str]:
    """Return the names of the steps that are to run though they are up to date.

    Raises:
        UsageError: one does not exist, or takes no part in the run.
    """
    forced = frozenset(pipeline[name].name for name in force)
    outside = sorted(forced - {step.name for step in steps})
    if outside:
        raise UsageError(
            f"step {outside[0]!r} is to be forced, but takes no part in this run",
            fix="leave out --force for it, or choose more steps",
        )
    return forced


def choose_settings(
    pipeline: Pipeline, settings: Settings, parameters: Mapping[str, object] | None = None
) -> dict[str, dict[str, object]]:
    """Return the settings of every step: the defaults, over them parameters, over them settings.

    Args:
        settings: of single steps.
        parameters: name -> value for every step that has a setting of this name.

    Raises:
        UsageError: a step, a setting or a parameter does not exist, or is a secret.
    """
    given: dict[str, dict[str, object]] = {step.name: {} for step in pipeline.steps}
    for name, value in (parameters or {}).items():
        having = [step.name for step in pipeline.steps if name in step.settings]
        if not having:
            shared = sorted({one for step in pipeline.steps for one in step.settings})
            raise UsageError(
                f"no step has a setting {name!r}",
                fix=f"settings: {', '.join(shared) or 'none'}; of one step alone: STEP.SETTING",
            )
        for one in having:
            given[one][name] = value
    for name, values in settings.items():
        unknown = sorted(set(values) - set(pipeline[name].settings))
        if unknown:
            known = ", ".join(pipeline[name].settings) or "none"
            raise UsageError(
                f"step {name!r} has no setting {unknown[0]!r}", fix=f"its settings: {known}"
            )
        given[name] |= values
    for step in pipeline.steps:
        _refuse_secrets(step, given[step.name])
    return {step.name: {**step.settings, **given[step.name]} for step in pipeline.steps}


def given_settings(
    defaults: Mapping[str, object], settings: Mapping[str, object]
) -> dict[str, object]:
    """Return the settings that are not the defaults: those a process is to be told."""
    return {name: value for name, value in settings.items() if value is not defaults[name]}


def _taken(
    pipeline: Pipeline, log: RunLog | None, steps: Sequence[AnyStep], chosen: Set[str]
) -> dict[str, Execution]:
    """Find the newest results of what the chosen steps need and is not chosen."""
    taken: dict[str, Execution] = {}
    for step in steps:
        for need in step.needs:
            if need in chosen or need in taken:
                continue
            last = log.last(pipeline.name, need) if log else None
            if log is None or last is None or not log.is_stored(last):
                raise UsageError(
                    f"step {step.name!r} takes the stored result of {need!r}, and there is none",
                    fix=f"make it first: gristmill run {pipeline.name} --step {need}",
                )
            taken[need] = last
    return taken


def _refuse_secrets(step: AnyStep, given: Mapping[str, object]) -> None:
    for name in given:
        default = step.settings[name]
        if isinstance(default, Secret):
            raise UsageError(
                f"the setting {name!r} is the secret {default.name!r}, which is never recorded",
                where=f"step {step.name!r}",
                fix=f"set the environment variable {default.name}",
            )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
