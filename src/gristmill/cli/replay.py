"""`gristmill replay`: what other policies would have lost on logged predictions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gristmill.cli.output import HELP, emit, json_option, say, table
from gristmill.core.quantities import many

if TYPE_CHECKING:
    from gristmill.core.intervals import Interval
    from gristmill.serve.selection.comparison import Comparison


_LONGEST = 32


@click.command("replay", context_settings=HELP)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="POLICY",
    help="thompson, exp3, exp4, hedge, epsilon_greedy or fixed, with constants as in "
    "exp3:eta=0.2,floor=0.01; the same as JSON, for constants that are no numbers; or "
    "always:MODEL. May be given several times.",
)
@click.option("--seed", default=0, show_default=True, help="Of what learning policies are fed.")
@json_option
def command(folder: Path, policies: tuple[str, ...], seed: int, as_json: bool) -> None:
    """Say what other policies would have lost on the predictions in a feedback log.

    FOLDER is the feedback log of a route with kind = "selection", or the folder of a server with
    such routes (`folder` in its serving file). A server may be writing to it meanwhile.

    Each logged outcome counts by its inverse propensity: how probable it was under the policy in
    question, divided by how probable it was under the one that chose. The table has, for each
    policy, the mean loss per prediction with its 95 % interval (weights normalised by their mean),
    an unbiased estimate (robust: doubly robust, with the mean loss of each model), and as how many
    outcomes of the policy's own the logged ones count (effective). --json has the plain estimate
    (ips) as well. Where the log cannot answer, a line below says why: then the
    figures are not to be trusted. A policy that learns starts from nothing.

    \b
    Examples:
      gristmill replay serving
      gristmill replay serving/routes/spam --policy always:stable --json
      gristmill replay serving --policy thompson --policy exp3:eta=0.2

    \b
    Exit codes: 0 done, 2 wrong call, or no log with feedback, 7 the log cannot be
    read.
    """
    from gristmill.core.errors import UsageError
    from gristmill.serve.selection.comparison import compare, logs_in

    found = [compare(log, policies, seed=seed) for log in logs_in(folder)]
    if not any(each.outcomes for each in found):
        predictions = many(sum(each.predicted for each in found), "prediction")
        raise UsageError(
            f"{predictions}, and feedback to none of them",
            where=str(folder),
            fix="send feedback first: POST /v1/feedback",
        )
    emit(found, as_json, lambda: _show(found))


def _show(found: list[Comparison]) -> None:
    for each in found:
        _show_log(each)


def _show_log(found: Comparison) -> None:
    if not found.policies:
        say(f"{found.log}: {many(found.predicted, 'prediction')}, and feedback to none of them")
        return
    logged = found.policies[0].evaluation.logged
    say(
        f"{found.log}: {many(found.outcomes, 'outcome')} of {many(found.predicted, 'prediction')} "
        f"({found.share_told:.0%}), models {', '.join(found.members)}"
    )
    rows: list[list[object]] = [["as logged", logged.value, _range(logged), None, found.outcomes]]
    for each in found.policies:
        made = each.evaluation
        own = made.self_normalised
        rows.append(
            [
                f"{_short(each.policy)}{'' if made.supported else ' (!)'}",
                own.value if math.isfinite(own.value) else None,
                _range(own),
                None if made.doubly_robust is None else made.doubly_robust.value,
                round(made.effective),
            ]
        )
    table("", ["policy", "loss", "95 % interval", "robust", "effective"], rows)
    for each in found.policies:
        for doubt in each.evaluation.doubts:
            say(f"(!) {_short(each.policy)}: {doubt}")


def _short(policy: str) -> str:
    """Return how a policy is called in a table: a JSON object in full would fill it."""
    return policy if len(policy) <= _LONGEST else f"{policy[: _LONGEST - 3]}..."


def _range(interval: Interval) -> str:
    return f"{interval.low:.3f} to {interval.high:.3f}"
