from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.spans.bio import may_follow
from gristmill.label.spans.documents import Documents
from gristmill.label.spans.majority import SpanMajority
from gristmill.label.spans.scoring import score_spans
from gristmill.label.spans.span_model import SpanModel
from gristmill.label.spans.span_votes import SpanVotes

Draw = Callable[..., "object"]


def small() -> SpanVotes:
    documents = Documents.of([["a", "b", "c"], ["d"], [], ["e", "f"]])
    tags = {
        "one": [["B-x", "I-x", "O"], ["O"], [], ["B-x", "O"]],
        "two": [["B-x", "I-x", "O"], ["B-x"], [], ["B-x", "O"]],
        "three": [["B-x", "O", "O"], ["O"], [], ["O", "B-x"]],
    }
    return SpanVotes.from_tags(documents, tags, ["x"])


@pytest.mark.parametrize("kind", ["news", "medicine", "many", "clean", "copies"])
def test_the_model_does_not_lose_to_the_majority(kind: str, draw_spans: Draw) -> None:
    gains = []
    for seed in range(8):
        drawn = draw_spans(kind, seed)
        votes, gold = drawn.votes, drawn.gold  # type: ignore[attr-defined]
        model = SpanModel(votes.classes).fit(votes).predict(votes)
        simple = SpanMajority(votes.classes).predict(votes)
        gains.append(score_spans(model, gold)["all"].f1 - score_spans(simple, gold)["all"].f1)
    # Where sources hardly meet and are right, there is little to win, and a little noise.
    assert np.mean(gains) > (0.0 if kind == "clean" else 0.02)
    assert min(gains) > -0.02


def test_a_belief_that_overturns_unanimous_spans_is_made_firmer(draw_spans: Draw) -> None:
    calm, torn = (draw_spans("clean", seed).votes for seed in (0, 1))  # type: ignore[attr-defined]
    facts = [SpanModel(votes.classes).fit(votes).describe() for votes in (calm, torn)]
    assert [(fact["firmness"], fact["overturned"]) for fact in facts] == [(1.0, 0.0), (3.0, 0.0)]


def test_no_token_has_a_tag_that_no_source_gave(draw_spans: Draw) -> None:
    votes = draw_spans("clean", 7).votes  # type: ignore[attr-defined]
    tags = SpanModel(votes.classes).fit(votes).predict(votes).tags
    assert ((tags == 0) | (votes.tags == tags[:, None]).any(axis=1)).all()


def test_copies_share_one_weight(draw_spans: Draw) -> None:
    votes = draw_spans("copies", 0).votes  # type: ignore[attr-defined]
    model = SpanModel(votes.classes).fit(votes)
    assert model.sources["share"].to_list() == [0.25] * 4 + [1.0] * 4


def test_paths_are_whole_spans_and_probabilities_sum_to_one(draw_spans: Draw) -> None:
    votes = draw_spans("news", 5).votes  # type: ignore[attr-defined]
    labels = SpanModel(votes.classes).fit(votes).predict(votes)
    np.testing.assert_allclose(labels.probs.sum(axis=1), 1)
    first = np.zeros(len(labels.tags), bool)
    first[votes.offsets[:-1]] = True
    before = np.where(first, 0, np.concatenate([[0], labels.tags[:-1]]))
    assert may_follow(4)[before, labels.tags].all()


def test_the_order_of_documents_does_not_matter(draw_spans: Draw) -> None:
    votes = draw_spans("medicine", 1).votes  # type: ignore[attr-defined]
    lengths = np.diff(votes.offsets)
    order = np.random.default_rng(0).permutation(len(votes))
    tokens = np.concatenate([np.arange(votes.offsets[d], votes.offsets[d + 1]) for d in order])
    documents = Documents.of([("",) * int(lengths[d]) for d in order])
    columns = {name: votes.tags[tokens, j] for j, name in enumerate(votes.names)}
    moved = SpanVotes.of(documents, columns, votes.classes)
    here = SpanModel(votes.classes).fit(votes).predict(votes)
    there = SpanModel(votes.classes).fit(moved).predict(moved)
    assert (here.tags[tokens] == there.tags).all()
    np.testing.assert_allclose(here.probs[tokens], there.probs, atol=1e-6)


def test_a_fitted_model_tags_other_documents() -> None:
    votes = small()
    model = SpanModel(["x"]).fit(votes)
    documents = Documents.of([["g", "h"]])
    new = SpanVotes.from_tags(
        documents,
        {"two": [["B-x", "O"]], "three": [["O", "O"]], "one": [["B-x", "O"]]},
        ["x"],
    )
    assert model.predict(new).bio(0) == ["B-x", "O"]


def test_a_model_comes_back_from_its_folder(tmp_path: Path) -> None:
    model = SpanModel(["x"], anchor=0.8).fit(small())
    model.save(tmp_path)
    loaded = SpanModel.load(tmp_path)
    assert loaded.__fingerprint__() == model.__fingerprint__()
    assert (loaded.predict(small()).probs == model.predict(small()).probs).all()
    assert loaded.describe()["converged"] is True


def test_a_tampered_model_is_refused(tmp_path: Path) -> None:
    SpanModel(["x"]).fit(small()).save(tmp_path)
    stored = msgspec.json.decode((tmp_path / "span_model.json").read_bytes())
    stored["state"]["move"] = [[1.0]]
    (tmp_path / "span_model.json").write_bytes(msgspec.json.encode(stored))
    with pytest.raises(LabelError, match="not those of 3 sources and 1 classes"):
        SpanModel.load(tmp_path)
    (tmp_path / "span_model.json").write_bytes(b"[]")
    with pytest.raises(LabelError, match="this is no stored span model"):
        SpanModel.load(tmp_path)


def test_what_cannot_be_fitted_is_refused() -> None:
    votes = small()
    silent = SpanVotes.of(Documents.of([["a"]]), {"one": np.zeros(1, np.int16)}, ["x"])
    with pytest.raises(LabelError, match="no source found a span in any of the 1 documents"):
        SpanModel(["x"]).fit(silent)
    with pytest.raises(LabelError, match=r"for classes \['y'\], these votes are on \['x'\]"):
        SpanModel(["y"]).fit(votes)
    with pytest.raises(LabelError, match="not fitted\n  fix: call fit"):
        SpanModel(["x"]).predict(votes)
    with pytest.raises(LabelError, match=r"fitted on the sources one, two, three; .* are of one"):
        SpanModel(["x"]).fit(votes).predict(silent)
    with pytest.raises(LabelError, match="expected anchor between 0 and 1, found 1"):
        SpanModel(["x"], anchor=1)
    with pytest.raises(LabelError, match="expected a strength above 0, found 0"):
        SpanModel(["x"], strength=0)
