"""Labels of a table larger than memory: predicted part by part, each written where it is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.core.atomic import atomic_file, atomic_folder
from gristmill.core.errors import LabelError
from gristmill.core.progress import task
from gristmill.engine.current import chosen_engine
from gristmill.engine.inline import Inline
from gristmill.label.gold import Gold, gold_of_parts
from gristmill.label.models.additive import AdditiveModel
from gristmill.label.models.majority import MajorityVote
from gristmill.label.vote_parts import VotePart, VoteParts

if TYPE_CHECKING:
    from gristmill.engine.protocol import Engine


@dataclass(frozen=True)
class LabelParts:
    """Labels in a folder of Parquet files, a file for each part of the votes, in order.

    Attributes:
        folder: `pl.scan_parquet(folder / "*.parquet")` reads all of them, `file_parts` cuts them.
        rows: how many rows there are.
        labels: class -> how many rows have it as their label; "" those that have none.
        sources: "gold", "model" or "none" -> how many rows have their label from there.
        weight: the sum of the weights of all rows.
    """

    folder: Path
    rows: int
    labels: Mapping[str, int]
    sources: Mapping[str, int]
    weight: float

    @property
    def files(self) -> list[Path]:
        """The files, in order."""
        return sorted(self.folder.glob("*.parquet"))


@dataclass(frozen=True)
class _Predictor:
    """Predicts parts and writes their labels; travels to workers."""

    model: AdditiveModel | MajorityVote
    folder: Path
    uncovered: bool
    gold: Mapping[str, Gold]

    def __call__(self, item: tuple[int, VotePart]) -> tuple[Counter[int], Counter[str], float]:
        number, part = item
        votes, model = part.read(), self.model
        if isinstance(model, MajorityVote):
            known = self.gold.get(votes.__fingerprint__()) if self.gold else None
            table = model.predict(votes, known).table
        else:
            table = model.predict(votes, uncovered=self.uncovered).table
        with atomic_file(self.folder / f"{number:05d}.parquet") as draft:
            table.write_parquet(draft)
        weight = float(table["weight"].sum())
        return Counter(table["label"].to_list()), Counter(table["source"].to_list()), weight


def predict_in_parts(
    model: AdditiveModel | MajorityVote,
    votes: VoteParts,
    folder: Path | str,
    *,
    gold: Gold | None = None,
    uncovered: bool = False,
    engine: Engine | str | None = None,
) -> LabelParts:
    """Write the labels of votes in parts, as `predict` gives them for each part.

    Rows with gold that the model was fitted on keep it. Workers read the votes and write the labels
    themselves, so on several machines both folders have to be where all of them see them. A part
    whose worker dies is predicted again; it is never there twice.

    Args:
        model: fitted; or a majority vote, which learns nothing.
        votes: of the sources that it was fitted on.
        folder: for the labels; it appears whole or not at all.
        gold: for a majority vote: row id -> class, or a frame with `row_id` and `label`. A fitted
            model has its own.
        uncovered: as `predict`, of a fitted model.
        engine: an engine, or its name; default is the current engine if there is one, else this
            process.

    Raises:
        LabelError: the model is not fitted, the votes are of other sources or classes, or there is
            something else in the folder.
        StepError: workers died again and again.
    """
    target = Path(folder).absolute()
    learned = model if isinstance(model, MajorityVote) else model.without_votes()
    _check_target(target)
    labels, sources, weight = Counter[int](), Counter[str](), 0.0
    told = gold_of_parts(gold, votes) if isinstance(model, MajorityVote) else {}
    with (
        chosen_engine(engine) as opened,
        atomic_folder(target) as draft,
        task("predict", sum(votes.rows)) as work,
    ):
        predictor = _Predictor(learned, draft, uncovered, told)
        found = (opened or Inline()).map(predictor, enumerate(votes))
        for rows, (by_label, by_source, weights) in zip(votes.rows, found, strict=True):
            labels += by_label
            sources += by_source
            weight += weights
            work.advance(rows)
    named = {name: labels[code] for code, name in enumerate(votes.classes)}
    return LabelParts(target, sum(votes.rows), {**named, "": labels[-1]}, dict(sources), weight)


def _check_target(target: Path) -> None:
    if target.exists() and not (target.is_dir() and all(map(_is_ours, target.iterdir()))):
        raise LabelError(
            "expected a folder of Parquet files, or none, found something else",
            where=str(target),
            fix="name a folder that does not exist yet",
        )


def _is_ours(path: Path) -> bool:
    return path.suffix == ".parquet" and path.stem.isdecimal()
