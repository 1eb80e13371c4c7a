from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import UsageError
from gristmill.data.features import HashedNgrams
from gristmill.train.examples import Examples
from gristmill.train.weak.weak_weight import weigh

FAST = {"weights": (0.03, 0.1, 0.3), "penalties": (0.1, 1.0), "repeats": 2}


def drawn(right: float, gold: int = 60, weak: int = 500, seed: int = 0):
    """Rows of 25 features, three classes; weak labels are right so often, else always class 0."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, gold + weak)
    centres = rng.normal(size=(3, 25)) * 0.3
    features = centres[truth] + rng.normal(size=(gold + weak, 25))
    said = np.where(rng.random(gold + weak) < right, truth, 0)
    is_gold = np.arange(gold + weak) < gold
    probs = np.where(is_gold[:, None], np.eye(3)[truth], 0.1 + 0.7 * np.eye(3)[said])
    labels = pl.DataFrame(
        {
            "row_id": range(gold + weak),
            "label": np.where(is_gold, truth, said),
            "probs": pl.Series(probs.tolist(), dtype=pl.Array(pl.Float64, 3)),
            "weight": np.where(is_gold, 1.0, 0.5),
            "source": np.where(is_gold, "gold", "model").tolist(),
        }
    )
    return features, labels


def test_good_weak_rows_count():
    features, labels = drawn(right=0.95)
    found = weigh(features, labels, **FAST)
    assert found.weight >= 0.1
    assert found.reason.startswith("beats gold alone on 60 gold rows held out: log-loss ")
    assert found.labels["weight"][:60].to_list() == [1.0] * 60
    assert found.labels["weight"][60:].mean() == pytest.approx(found.weight)
    chosen = found.scores.row(by_predicate=pl.col("chosen"), named=True)
    assert (chosen["weight"], chosen["targets"], chosen["l2"]) == (
        found.weight, found.targets, found.l2,
    )  # fmt: skip
    assert chosen["gain"] > 0


def test_useless_weak_rows_do_not():
    features, labels = drawn(right=0.0, gold=120)
    found = weigh(features, labels, **FAST)
    assert found.weight == 0
    assert found.reason.startswith("gold alone: no weight helps on 120 gold rows held out")
    assert found.labels["weight"].to_list() == [1.0] * 120 + [0.0] * 500
    assert found.scores["chosen"].to_list() == [True] + [False] * 3
    assert found.scores["low"][0] == found.scores["high"][0] == 0


def test_a_selection_of_clean_rows_is_found():
    features, labels = drawn(right=0.0)
    clean_features, clean = drawn(right=1.0)
    mixed = pl.concat([labels[:310], clean[310:]])
    both = np.concatenate([features[:310], clean_features[310:]])
    found = weigh(both, mixed, selections={"clean": np.arange(560) >= 310}, **FAST)
    assert found.rows == "clean"
    assert found.labels["weight"][60:310].to_list() == [0.0] * 250
    assert found.labels["weight"][310:].mean() == pytest.approx(found.weight)


def test_hard_targets_change_the_probabilities_of_weak_rows():
    features, labels = drawn(right=1.0)
    found = weigh(features, labels, targets=["hard"], **FAST)
    assert found.targets == "hard"
    assert found.labels.schema == labels.schema
    assert set(np.unique(np.array(found.labels["probs"].to_list()))) == {0.0, 1.0}


def test_does_not_depend_on_the_order_of_rows():
    features, labels = drawn(right=0.7)
    order = np.random.default_rng(1).permutation(labels.height)
    one = weigh(features, labels, **FAST)
    other = weigh(features[order], labels[order], **FAST)
    assert other.scores.equals(one.scores)
    assert other.labels.equals(one.labels[order])


def test_relabel_takes_part():
    features, labels = drawn(right=0.95)
    calls = []

    def useless(gold: pl.DataFrame) -> pl.DataFrame:
        calls.append(gold.height)
        return drawn(right=0.0)[1]

    assert weigh(features, labels, **FAST).weight > 0
    found = weigh(features, labels, relabel=useless, **FAST)
    assert len(calls) == 10
    assert set(calls) == {48}
    assert found.weight == 0


def test_texts_and_training(messages):
    featurizer = HashedNgrams(words=(1, 1), buckets=512)
    truth = (messages["label"] == "spam").to_numpy()
    gold = np.arange(240) < 60
    weak = np.where(messages["text"].str.contains("win|free|cash").to_numpy(), 0.9, 0.2)
    p = np.where(gold, truth, weak)
    labels = pl.DataFrame(
        {
            "row_id": messages["row_id"],
            "probs": np.stack([1 - p, p], axis=1).tolist(),
            "weight": np.where(gold, 1.0, 0.5),
            "source": np.where(gold, "gold", "model").tolist(),
        }
    )
    found = weigh(featurizer.apply(messages), labels, **FAST)
    examples = Examples.from_table(messages, found.labels, featurizer, ["ham", "spam"])
    np.testing.assert_allclose(examples.weights, found.labels["weight"].to_numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("gold", "weak", "reason"),
    [
        (19, 50, "assumed: 19 gold rows, 20 needed to estimate"),
        (0, 50, "assumed: 0 gold rows, 20 needed to estimate"),
        (30, 0, "assumed: there are no weak rows"),
    ],
)
def test_nothing_to_estimate_from(gold, weak, reason):
    features, labels = drawn(right=0.9, gold=gold, weak=weak)
    found = weigh(features, labels)
    assert found.reason == reason
    assert found.weight == 1
    assert found.labels["weight"].to_list() == pytest.approx([1.0] * (gold + weak))
    assert found.scores.height == 0


def test_gold_of_one_class():
    features, labels = drawn(right=0.9)
    only = labels.filter(~((pl.col("source") == "gold") & (pl.col("label") != 1)))
    places = np.flatnonzero(labels["row_id"].is_in(only["row_id"].implode()).to_numpy())
    found = weigh(features[places], only)
    assert (
        found.reason == f"assumed: all {(only['source'] == 'gold').sum()} gold rows are of class 1"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": ()}, r"^weights must be one or more numbers above 0, found \(\)$"),
        ({"weights": (0.0,)}, r"^weights must be one or more numbers above 0, found \(0\.0,\)$"),
        ({"penalties": (-1,)}, r"^penalties must be one or more numbers above 0, found \(-1,\)$"),
        ({"targets": ["soft", "x"]}, r"^targets must be out of soft, hard, found \['soft', 'x'\]$"),
        ({"folds": 1}, r"^folds must be at least 2, found 1$"),
        ({"repeats": 0}, r"^repeats must be at least 1, found 0$"),
        ({"most_weak_rows": 0}, r"^most_weak_rows must be at least 1, found 0$"),
    ],
)
def test_refusals(options, message):
    features, labels = drawn(right=0.9)
    with pytest.raises(UsageError, match=message):
        weigh(features, labels, **options)
