"""The label model on votes in parts: what is learned of all at once, whoever adds up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import LabelError
from gristmill.engine import Engine
from gristmill.engine.current import using_engine
from gristmill.label import LabelModel, VoteParts, Votes, predict_in_parts
from gristmill.label.models import sample
from gristmill.label.models.dawid_skene import DawidSkene
from gristmill.label.vote_parts import part_folder


def in_parts(votes: Votes, cuts: list[int], folder: Path) -> VoteParts:
    """Write votes in parts that end at some rows."""
    ends = [*sorted(cuts), len(votes)]
    starts = [0, *ends[:-1]]
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        part_folder(folder, number).mkdir(parents=True)
        part = Votes.from_matrix(
            votes.matrix[start:end], classes=votes.classes, row_ids=votes.row_ids[start:end]
        )
        part.save(part_folder(folder, number))
    rows = tuple(int(end - start) for start, end in zip(starts, ends, strict=True))
    parts = VoteParts(folder, votes.names, votes.fingerprints, votes.classes, rows)
    parts.write_header()
    return parts


def gold_frame(truth: Any, rows: Any, *, asked: str, several: bool) -> pl.DataFrame:
    """Gold of some rows, told by one annotator or by two who differ here and there."""
    one = pl.DataFrame({"row_id": rows, "label": truth[rows], "drawn": asked, "annotator": "ann"})
    if not several:
        return one.drop("annotator")
    other = one.with_columns(
        annotator=pl.lit("bob"), label=pl.when(pl.col("row_id") % 7 == 0).then(0).otherwise("label")
    )
    return pl.concat([one, other])


@settings(max_examples=15)
@given(st.data(), st.sampled_from([12, 1000]))
def test_parts_teach_what_the_whole_does(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, most: int
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 3)))
    truth = rng.integers(0, 2, 120)
    right = np.where(rng.random((120, 3)) < [0.9, 0.8, 0.7], truth[:, None], 1 - truth[:, None])
    votes = Votes.from_matrix(np.where(rng.random((120, 3)) < 0.7, right, -1), classes=2)
    cuts = data.draw(st.lists(st.integers(0, 120), max_size=9))
    gold = None
    if data.draw(st.booleans()):
        rows = np.flatnonzero(np.arange(120) % data.draw(st.integers(2, 40)) == 0)
        asked, several = data.draw(st.sampled_from(["random", "worth"])), data.draw(st.booleans())
        gold = gold_frame(truth, rows, asked=asked, several=several)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "cap", lambda *_: most)  # beyond, a sample of the rows stands in
        whole = LabelModel(2).fit(votes, gold=gold)
        parts = in_parts(votes, cuts, tmp_path_factory.mktemp("votes"))
        found = LabelModel(2).fit(parts, gold=gold)
    assert found.fitted.scoring == whole.fitted.scoring
    assert found.findings == whole.findings
    assert found.fitted.facts == whole.fitted.facts
    if gold is None:
        assert found.__fingerprint__() == whole.__fingerprint__()


def test_fitted_and_predicted_on_an_engine(
    draw: Callable[..., Any], tmp_path: Path, any_engine: Engine
) -> None:
    drawn = draw(400, [0.9, 0.8, 0.7, 0.8], [0.9, 0.6, 0.5, 0.3])
    gold = {row: int(drawn.truth[row]) for row in range(0, 400, 9)}
    parts = in_parts(drawn.votes, list(range(20, 400, 20)), tmp_path / "votes")
    whole = LabelModel(2).fit(drawn.votes, gold=gold)
    with using_engine(any_engine):
        model = LabelModel(2).fit(parts, gold=gold)
        assert model.fitted.scoring == whole.fitted.scoring
        found = predict_in_parts(model, parts, tmp_path / "labels")
    table = pl.read_parquet(tmp_path / "labels" / "*.parquet")
    assert table.equals(whole.predict(drawn.votes).table)
    counts = dict(table["label"].value_counts().iter_rows())
    assert found.labels == {"0": counts[0], "1": counts[1], "": counts.get(-1, 0)}
    assert found.sources == dict(table["source"].value_counts().iter_rows())
    assert found.rows == 400


def test_other_additive_models_predict_in_parts_too(
    draw: Callable[..., Any], tmp_path: Path
) -> None:
    votes = draw(60, [0.9, 0.8, 0.7], [0.9, 0.6, 0.5]).votes
    model = DawidSkene(2).fit(votes)
    predict_in_parts(model, in_parts(votes, [25], tmp_path / "v"), tmp_path / "l", uncovered=True)
    wanted = model.predict(votes, uncovered=True).table
    assert pl.read_parquet(tmp_path / "l" / "*.parquet").equals(wanted)


def test_what_cannot_be(draw: Callable[..., Any], tmp_path: Path) -> None:
    votes = draw(60, [0.9, 0.8, 0.7], [0.9, 0.6, 0.5]).votes
    parts = in_parts(votes, [25], tmp_path / "v")
    with pytest.raises(LabelError, match="gold labels row 77, which is not among the 60 rows"):
        LabelModel(2).fit(parts, gold={3: 1, 77: 0})
    with pytest.raises(LabelError, match="the model is for classes"):
        LabelModel(3).fit(parts)
    with pytest.raises(LabelError, match="this label model is not fitted"):
        predict_in_parts(LabelModel(2), parts, tmp_path / "l")
    with pytest.raises(LabelError, match="expected a folder of Parquet files, or none"):
        predict_in_parts(LabelModel(2).fit(parts), parts, tmp_path / "v")
    none = VoteParts(tmp_path, votes.names, votes.fingerprints, votes.classes, ())
    with pytest.raises(LabelError, match="expected votes on at least one row"):
        LabelModel(2).fit(none)
