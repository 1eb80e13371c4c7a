"""Several policies, each replayed on the same log: which one should choose from now on?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gristmill.core.errors import UsageError
from gristmill.serve.journal.segments import segment_files
from gristmill.serve.selection.fixed import Fixed
from gristmill.serve.selection.kinds import AnyPolicy, policy_named, policy_of
from gristmill.serve.selection.logged_outcomes import LoggedData, logged_data
from gristmill.serve.selection.replay import Evaluation, arm_means, mostly_told, replay

_LEARNERS = ("thompson", "exp3", "epsilon_greedy", "hedge")
_ALWAYS = "always"


class Candidate(NamedTuple):
    """A policy in question, and how it is called."""

    name: str
    policy: AnyPolicy


class Replayed(msgspec.Struct, frozen=True):
    """What became of one candidate on a log."""

    policy: str
    evaluation: Evaluation


class Comparison(msgspec.Struct, frozen=True):
    """What a log says of policies.

    Attributes:
        log: its folder.
        members: names of the models.
        outcomes: predictions with feedback, and choices that failed.
        predicted: rows that were predicted.
        share_told: the share of them that got feedback.
        policies: one entry per candidate, in the order asked for; none without an outcome.
    """

    log: str
    members: tuple[str, ...]
    outcomes: int
    predicted: int
    share_told: float
    policies: list[Replayed]


def logs_in(folder: Path) -> list[Path]:
    """Return the feedback logs at a folder: itself, or one or two folders below it.

    Raises:
        UsageError: there is none.
    """
    if folder.is_dir():
        below = sorted(path for some in ("*", "*/*") for path in folder.glob(some))
        found = [path for path in (folder, *below) if path.is_dir() and segment_files(path)]
        if found:
            return found
    raise UsageError(
        "expected a feedback log, or the folder of a server that keeps some, found none",
        where=str(folder),
        fix="name the `folder` of the serving file, or one of a route in it",
    )


def candidate(text: str, members: Sequence[str]) -> Candidate:
    """Return the policy that a text names.

    Args:
        text: `NAME`, `NAME:KEY=VALUE,...`, `always:MODEL`, or a JSON object of name and constants.
        members: names of the models.

    Raises:
        UsageError: no such policy, constant or model.
    """
    if text.lstrip().startswith("{"):
        return Candidate(text, policy_of(_table(text), len(members)))
    name, colon, rest = text.partition(":")
    if name == _ALWAYS:
        if rest not in members:
            raise UsageError(
                f"expected always:MODEL, found {text!r}", fix=f"its models: {', '.join(members)}"
            )
        shares = tuple(float(member == rest) for member in members)
        return Candidate(text, Fixed(len(members), shares=shares))
    options = dict(map(_option, rest.split(","))) if colon else {}
    return Candidate(text, policy_named(name, len(members), options))


def usual_candidates(data: LoggedData) -> list[Candidate]:
    """Return the policies that are worth a look at any log; hedge where all models were asked."""
    told = mostly_told(data.outcomes, len(data.members))
    names = [name for name in _LEARNERS if told or name != "hedge"]
    return [
        *(candidate(name, data.members) for name in names),
        *(candidate(f"{_ALWAYS}:{member}", data.members) for member in data.members),
    ]


def compare(folder: Path, texts: Sequence[str] = (), *, seed: int = 0) -> Comparison:
    """Replay policies on a log.

    Args:
        folder: of the log.
        texts: which policies, as `candidate` reads them; the usual ones by default.
        seed: of what the policies that learn are fed.

    Raises:
        StoreError: a file of the log is something else, or of another version.
        UsageError: there is no log, or a text names no policy.
    """
    data = logged_data(folder)
    chosen = [candidate(text, data.members) for text in texts] or usual_candidates(data)
    means = arm_means(data.outcomes, len(data.members))
    replayed = [
        Replayed(name, replay(policy, data.outcomes, predicted=means, seed=seed))
        for name, policy in (chosen if data.outcomes else ())
    ]
    return Comparison(
        log=str(folder),
        members=data.members,
        outcomes=len(data.outcomes),
        predicted=data.predicted,
        share_told=data.share_told,
        policies=replayed,
    )


def _table(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise UsageError(
            f"expected a JSON object, found {text!r}: {error}",
            fix="""as in '{"name": "exp3", "eta": 0.2}'""",
        ) from None


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    try:
        return key.strip(), float(value)
    except ValueError:
        found = text if equals else f"{text!r} without a value"
        raise UsageError(
            f"expected KEY=NUMBER, found {found}", fix="as in exp3:eta=0.2,floor=0.01"
        ) from None
