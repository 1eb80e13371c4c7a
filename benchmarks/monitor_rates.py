"""How often monitoring finds something, without any change and with changes of known size.

A world that is known: spam or not, by a share of spam; three columns, one of which depends on it;
a model that answers the true probability for a share of 30 %. Its bundle has the profile of 5,000
rows, and the gate's figure is of 1,000. A look sees the rows of one day, all of them with their
truth, and goes through all that `gristmill monitor` looks at. The changes: another share of spam
(label shift); answers as sure as before that are right less often, or more often (calibration); a
model of some age; truth that comes for few answers, or no more.

Every look is of a new day; the seeds are fixed, and so are all figures.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from claims import Claim, claim, main
from gristmill.core.seeds import derive_seed
from gristmill.pipeline import training_profile
from gristmill.pipeline.monitoring.answered_rows import AnsweredRows
from gristmill.pipeline.monitoring.looking import judged
from gristmill.pipeline.monitoring.monitor_plan import MonitorPlan
from gristmill.pipeline.monitoring.quality import figure_now
from gristmill.pipeline.monitoring.reference import Reference
from gristmill.pipeline.monitoring.seen import Seen
from gristmill.pipeline.served_statistics import FILES, PROFILE, SCHEMA, ServedStatistics
from gristmill.serve.watch.served_rows import PREDICTION
from gristmill.store.bundle import Bundle
from gristmill.store.decision import Decision
from gristmill.store.registry import ModelVersion
from gristmill.validate import Schema, Statistics

LOOKS, LOOKS_QUICK = 100, 5
SIZES = (250, 1000)
SHARE = 0.3
"""Of spam among what the model learned from."""
APART = 1.5
"""Mean of the telling column for spam, in standard deviations; for others it is 0."""
CLASSES = ["ham", "spam"]
NOW, DAY = 1_790_000_000.0, 86_400.0
PLAN = MonitorPlan(stale_after="7d", truth_after="2d")
TOLD = ("drift", "prediction_drift", "quality_loss", "miscalibrated")
AGED = ("stale_model", "late_truth")


@dataclass(frozen=True)
class World:
    """How things are.

    Attributes:
        share: of spam.
        strength: of the logits of the true probabilities those of the model are one `strength`-th;
            below 1 it is surer than it should be.
        told: share of answers whose truth is told.
        told_until: days ago after which none is told any more.
        age: of the model, in days.
        days: over how many days the rows of a look are spread.
    """

    share: float = SHARE
    strength: float = 1.0
    told: float = 1.0
    told_until: float = 0.0
    age: float = 5.0
    days: float = 1.0


CHANGES: dict[str, tuple[World, tuple[str, ...]]] = {
    "nothing has changed": (World(), TOLD + AGED),
    "share of spam from 30 to 35 %": (World(share=0.35), TOLD),
    "share of spam from 30 to 40 %": (World(share=0.4), TOLD),
    "share of spam from 30 to 50 %": (World(share=0.5), TOLD),
    "share of spam from 30 to 70 %": (World(share=0.7), TOLD),
    "true logits .7 of the answered ones": (World(strength=0.7), TOLD),
    "true logits .5 of the answered ones": (World(strength=0.5), TOLD),
    "true logits .3 of the answered ones": (World(strength=0.3), TOLD),
    "true logits twice the answered ones": (World(strength=2.0), TOLD),
    "a model of 6.9 days, 7 allowed": (World(age=6.9), AGED),
    "a model of 7.1 days, 7 allowed": (World(age=7.1), AGED),
    "truth of 2 % of 20 days": (World(told=0.02, days=20), AGED),
    "truth of 20 %, none for 5 days": (World(told=0.2, told_until=5, days=20), AGED),
    "truth of all, none for 5 days": (World(told_until=5, days=20), AGED),
}
"""What is changed, and the findings that are told of then."""


@dataclass(frozen=True)
class Drawn:
    """Rows of a world with their answers and their truth.

    Attributes:
        inputs: what the model is asked, by column.
        spam: float[n], the probability that it answers for spam.
        truth: bool[n], what is spam.
        luck: float[n] in [0, 1), by which it is told of some rows.
    """

    inputs: dict[str, list[Any]]
    spam: NDArray[np.float64]
    truth: NDArray[np.bool_]
    luck: NDArray[np.float64]

    @property
    def answers(self) -> dict[str, list[Any]]:
        """The fields of the answers, one value a row."""
        sure = np.maximum(self.spam, 1 - self.spam)
        return {"label": _named(self.spam > 0.5), "prob": sure.tolist()}


def draw(world: World, rows: int, *seed: str | int) -> Drawn:
    """Draw rows of a world."""
    random = np.random.default_rng(derive_seed(0, "monitor_rates", *seed))
    of_spam = random.random(rows) < world.share
    telling = random.normal(APART * of_spam, 1.0)
    logit = APART * telling - APART**2 / 2 + np.log(SHARE / (1 - SHARE))
    if world.strength == 1.0:
        truth = of_spam  # by Bayes, whose answers are true for the usual share
    else:
        truth = random.random(rows) < _chance(world.strength * logit)
    inputs = {
        "telling": telling.tolist(),
        "age": random.normal(40, 10, rows).tolist(),
        "country": random.choice(["de", "fr", "it"], rows, p=[0.5, 0.3, 0.2]).tolist(),
    }
    return Drawn(inputs, _chance(logit), truth, random.random(rows))


def _chance(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logit)))


def _named(spam: NDArray[np.bool_]) -> list[str]:
    return [CLASSES[int(each)] for each in spam]


def learned(folder: Path) -> ServedStatistics:
    """Return what compares with 5,000 rows and the answers to as many others, as in a bundle."""
    rows, others = (draw(World(), 5000, name) for name in ("rows", "others"))
    files = training_profile(pl.DataFrame(rows.inputs), list(rows.inputs), answers=others.answers)
    for name in FILES:
        (folder / name).write_bytes(files[f"{PROFILE}/{name}"])
    return ServedStatistics(Schema.parse(files[SCHEMA].decode()), Statistics.load(folder))


def at_gate(statistician: ServedStatistics) -> Decision:
    """Return the decision that let the model in, with its accuracy on 1,000 rows."""
    seen = seen_of(World(), draw(World(), 1000, "gate"), statistician, None)
    figure = figure_now(seen.answered, Reference("accuracy"), CLASSES).value
    evidence = {"metric": "accuracy", "positive": 1, "rows": 1000, "figure": figure}
    return Decision("spam", 1, "promote", [], "gate", NOW - 5 * DAY, evidence=evidence)


def seen_of(
    world: World, drawn: Drawn, statistician: ServedStatistics, judged_by: Decision | None
) -> Seen:
    """Return what is known after a look's rows were served, at even times up to now."""
    answers, rows = drawn.answers, len(drawn.truth)
    at = NOW - DAY * world.days * (1 - (np.arange(rows) + 0.5) / rows)
    told = (drawn.luck < world.told) & (at < NOW - DAY * world.told_until)
    columns = drawn.inputs | {PREDICTION + name: values for name, values in answers.items()}
    made = NOW - DAY * world.age
    promoted = Decision("spam", 1, "promote", [], "gate", made)
    return Seen(
        version=ModelVersion("spam", 1, "", None, made),
        promoted=promoted,
        judged=judged_by,
        bundle=cast("Bundle", SimpleNamespace(classes=CLASSES)),  # all that is asked of it
        statistician=statistician,
        statistics=statistician.profile(columns),
        damaged=0,
        newest=NOW,
        answered=AnsweredRows(
            at=at,
            told_at=np.where(told, at, np.nan),
            answers=answers,
            truth=[
                name if known else None
                for name, known in zip(_named(drawn.truth), told.tolist(), strict=True)
            ],
        ),
        now=NOW,
    )


def shares(change: str, rows: int, looks: int, statistician: ServedStatistics) -> dict[str, float]:
    """Return which share of looks has a finding of each code that is told of, in percent."""
    world, codes = CHANGES[change]
    gate = at_gate(statistician)
    found: Counter[str] = Counter()
    for number in range(looks):
        seen = seen_of(world, draw(world, rows, change, rows, number), statistician, gate)
        told = {each.code for each in judged(seen, PLAN).findings} & set(codes)
        found.update({*told, "any"} if told else ())
    return {code: 100 * found[code] / looks for code in ("any", *codes)}


def measure(quick: bool) -> Iterator[Claim]:
    """Yield a claim for each change: looks of 1,000 rows in which it is found, in percent."""
    looks = LOOKS_QUICK if quick else LOOKS
    with tempfile.TemporaryDirectory() as folder:
        statistician = learned(Path(folder))
    few, many = SIZES
    for change in CHANGES:
        found = {rows: shares(change, rows, looks, statistician) for rows in SIZES}
        codes = (
            f"{code} {found[few][code]:.0f} and {found[many][code]:.0f} %"
            for code in found[many]
            if code != "any"
        )
        yield claim(
            f"monitoring: {change}",
            found[many]["any"],
            "% of looks",
            f"with a finding; {looks} looks at {many:,} rows; at {few} rows "
            f"{found[few]['any']:.0f} %; of them {', '.join(codes)}",
            goal="<= 0" if change == "nothing has changed" else None,
        )


if __name__ == "__main__":
    sys.exit(main(measure))
