"""The pure parts of the label benchmarks: scores, sets, tasks, tables; no peer runs here."""

from __future__ import annotations

import importlib
import json
import re
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
OWN = ("label_scores", "label_sets", "label_rivals", "label_models", "label_speed", "claims")


@pytest.fixture(scope="module", autouse=True)
def on_path():
    """The benchmarks are scripts that import one another as neighbours."""
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))
    for name in OWN:
        sys.modules.pop(name, None)


@pytest.fixture
def scores(on_path):
    return importlib.import_module("label_scores")


@pytest.fixture
def sets(on_path):
    return importlib.import_module("label_sets")


@pytest.fixture
def rivals(on_path):
    return importlib.import_module("label_rivals")


@pytest.fixture
def models(on_path):
    return importlib.import_module("label_models")


@pytest.fixture
def speed(on_path):
    return importlib.import_module("label_speed")


@pytest.fixture
def folder(tmp_path):
    """A set with three splits as arrays, one with train alone, and one as WRENCH JSON."""
    rng = np.random.default_rng(7)
    arrays = {}
    for split, rows in (("train", 60), ("valid", 30), ("test", 20)):
        gold = rng.integers(0, 2, rows)
        wrong = rng.random((rows, 4)) < [0.1, 0.2, 0.3, 0.4]
        votes = np.where(wrong, 1 - gold[:, None], gold[:, None])
        votes[rng.random((rows, 4)) < 0.3] = -1
        arrays |= {f"L_{split}": votes.astype(np.int8), f"Y_{split}": gold.astype(np.int16)}
    np.savez(tmp_path / "made.npz", **arrays)
    np.savez(tmp_path / "train_only.npz", L_train=arrays["L_train"], Y_train=arrays["Y_train"])
    json_set = tmp_path / "json_set"
    json_set.mkdir()
    (json_set / "label.json").write_text('{"0": "no", "1": "perhaps", "2": "yes"}')
    for split, golds in (("train", [0, -1]), ("test", [1])):
        rows = {
            str(row): {"label": gold, "weak_labels": [gold, -1], "data": {"text": "so"}}
            for row, gold in enumerate(golds)
        }
        (json_set / f"{split}.json").write_text(json.dumps(rows))
    return tmp_path


# scores ----------------------------------------------------------------------------------------

TIED = np.array([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1], [0.5, 0.5]])


def test_a_tie_is_half_right(scores):
    gold = np.array([1, 1, 1, 0])
    assert scores.accuracy(TIED, gold) == (0.5 + 1 + 0 + 0.5) / 4


def test_a_tie_of_three_is_a_third_right(scores):
    assert scores.accuracy(np.full((1, 3), 1 / 3), np.array([2])) == pytest.approx(1 / 3)


def test_only_the_best_classes_tie(scores):
    probs = np.array([[0.4, 0.4, 0.2]])
    assert scores.spread(probs).tolist() == [[0.5, 0.5, 0]]
    assert scores.accuracy(probs, np.array([2])) == 0


def test_f1_is_that_of_the_expected_counts(scores):
    # Called positive: 0.5, 1, 0, 0.5. Of the positives 0.5 + 1 + 0 are hit, 1.5 missed; the
    # negative is a false alarm half of the time: 2 x 1.5 / (2 x 1.5 + 0.5 + 1.5) = 0.6.
    gold = np.array([1, 1, 1, 0])
    assert scores.f1(TIED, gold) == pytest.approx(0.6)
    assert scores.score("F1", TIED, gold) == pytest.approx(60)


def test_expected_accuracy_is_the_mean_over_all_ways_to_break_ties(scores):
    probs = np.array([[2, 2, 1], [0, 1, 1], [1, 1, 1], [0, 0, 2], [1, 1, 0]], float)
    gold = np.array([0, 1, 2, 2, 2])
    ways = product(*(np.flatnonzero(row == row.max()) for row in probs))
    drawn = [(np.array(way) == gold).mean() for way in ways]
    assert scores.accuracy(probs, gold) == pytest.approx(np.mean(drawn))


def test_scores_do_not_depend_on_the_order_of_rows(scores):
    gold = np.array([1, 1, 1, 0])
    order = [3, 1, 0, 2]
    for metric in ("accuracy", "F1"):
        one, other = (
            scores.score(metric, TIED, gold),
            scores.score(metric, TIED[order], gold[order]),
        )
        assert one == pytest.approx(other)


def test_calibration_error_by_hand(scores):
    # 0.9, 0.9 share a bin: one right of two, |0.5 - 0.9| x 2; 0.6 is right: |1 - 0.6| x 1.
    probs = np.array([[0.9, 0.1], [0.1, 0.9], [0.6, 0.4]])
    error = scores.calibration_error(probs, np.array([0, 0, 0]))
    assert error == pytest.approx((2 * 0.4 + 0.4) / 3)


def test_certain_and_right_is_calibrated(scores):
    assert scores.calibration_error(np.eye(2), np.array([0, 1])) == 0


@pytest.mark.parametrize(
    ("name", "positives", "classes", "metric"),
    [
        ("youtube", 10, 2, "accuracy"), ("basketball", 60, 2, "F1"), ("trec", 10, 6, "accuracy"),
        ("mine", 39, 2, "F1"), ("mine", 40, 2, "accuracy"), ("mine", 10, 3, "accuracy"),
    ],
)  # fmt: skip
def test_metric_goes_by_name_then_by_the_share_of_class_1(scores, name, positives, classes, metric):
    gold = np.repeat([1, 0], [positives, 100 - positives])
    assert scores.metric_of(name, gold, classes) == metric


# sets ------------------------------------------------------------------------------------------


def test_a_folder_is_read(sets, folder):
    found = sets.read_folder(folder)
    assert [each.name for each in found] == ["json_set", "made", "train_only"]
    assert [each.classes for each in found] == [3, 2, 2]
    assert [each.cells for each in found] == [6, 440, 240]
    assert found[0].splits["train"].votes.tolist() == [[0, -1], [-1, -1]]
    assert found[0].splits["train"].gold.tolist() == [0, -1]


def test_only_some_sets_are_read(sets, folder):
    assert [each.name for each in sets.read_folder(folder, ["made"])] == ["made"]
    with pytest.raises(FileNotFoundError, match=r"no set other in"):
        sets.read_folder(folder, ["other"])
    with pytest.raises(FileNotFoundError, match=r"no set \(\*\.npz, \*/train\.json\) in"):
        sets.read_folder(folder / "json_set")


def test_metric_can_be_said(sets, folder):
    assert {each.metric for each in sets.read_folder(folder, metric="F1")} == {"F1"}


def test_split_task_fits_on_train_and_scores_test(sets, folder):
    made, alone = sets.read_folder(folder, ["made", "train_only"])
    task = sets.split_task(made)
    assert (len(task.fit), len(task.score), len(task.gold)) == (60, 20, 20)
    assert (task.known == -1).all()
    assert sets.split_task(alone) is None


def test_transductive_task_leaves_out_rows_without_votes_or_gold(sets, folder):
    task = sets.transductive_task(sets.read_folder(folder, ["json_set"])[0])
    assert task.fit.tolist() == [[0, -1], [1, -1]]
    made = sets.read_folder(folder, ["made"])[0]
    covered = sum((split.votes >= 0).any(axis=1).sum() for split in made.splits.values())
    assert len(sets.transductive_task(made).gold) == covered


def test_gold_task_tells_the_gold_of_valid(sets, folder):
    made = sets.read_folder(folder, ["made"])[0]
    task = sets.gold_task(made)
    assert (task.known[:60] == -1).all()
    assert (task.known[60:] == made.splits["valid"].gold).all()
    assert len(task.fit) == 90
    assert len(task.score) == 20


def test_gold_task_without_valid_tells_a_tenth_and_scores_the_rest(sets, folder):
    task = sets.gold_task(sets.read_folder(folder, ["train_only"])[0])
    assert (task.known >= 0).sum() == 6
    assert len(task.score) == 54
    assert (sets.gold_task(sets.read_folder(folder, ["train_only"])[0]).known == task.known).all()


def test_balance_is_of_the_validation_split(sets, folder):
    made = sets.read_folder(folder, ["made"])[0]
    ones = (made.splits["valid"].gold == 1).sum()
    assert sets.split_task(made).balance.tolist() == pytest.approx(
        [(31 - ones) / 32, (1 + ones) / 32]
    )


@pytest.mark.parametrize("abstention", [False, True])
def test_naive_bayes_by_hand(sets, abstention):
    train = sets.Split(np.array([[0], [0], [1], [-1]]), np.array([0, 0, 1, 1]))
    # Smoothed by one: P(0 | class 0) = 3/5, P(0 | class 1) = 1/5; abstain: 1/5 and 2/5.
    found = sets.naive_bayes(train, np.array([[0], [-1]]), 2, abstention=abstention)
    silent = 2 / 3 if abstention else 1 / 2
    assert found[:, 1].tolist() == pytest.approx([1 / 4, silent])


# peers -----------------------------------------------------------------------------------------


def test_without_an_environment_no_peer_answers(sets, rivals, folder):
    task = sets.split_task(sets.read_folder(folder, ["made"])[0])
    nobody = rivals.Rivals(None)
    assert [nobody.answers(peer, task) for peer in rivals.PEERS] == [None] * len(rivals.PEERS)
    assert rivals.peers_python("none") is None


def test_recorded_figures_are_of_known_peers(rivals):
    recorded = rivals.Recorded.read()
    assert set(recorded.scores) == {"split", "transductive"}
    named = {name for sets_ in recorded.scores.values() for each in sets_.values() for name in each}
    assert named == {peer.name for peer in rivals.PEERS}
    assert recorded.scores["split"]["youtube"]["HyperLM"] == 85.2


def test_every_peer_is_pinned_at_the_recorded_version(rivals):
    text = (FOLDER / "label_peers" / "requirements.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", text, re.MULTILINE))
    versions = rivals.Recorded.read().versions
    assert {name: pinned[name] for name in versions} == versions
    assert {peer.package for peer in rivals.PEERS} <= set(pinned)


def test_the_same_question_has_the_same_key(sets, rivals, folder, monkeypatch):
    asked = rivals.Rivals(None)
    monkeypatch.setattr(type(asked), "versions", {"snorkel": "1"})
    task = sets.split_task(sets.read_folder(folder, ["made"])[0])
    job = {"fit": task.fit, "score": task.score}
    first, second = rivals.PEERS[0], rivals.PEERS[2]
    key = asked._key(first, job)
    assert asked._key(first, dict(reversed(job.items()))) == key
    assert asked._key(second, job) != key
    assert asked._key(first, job | {"score": task.fit}) != key


# the benchmark ---------------------------------------------------------------------------------


def table(models, ours, majority, **peers):
    every = {"label model": ours, "majority vote": majority}
    every |= {peer.name: {} for peer in models.PEERS} | peers
    rows = [models.Row(name, scores) for name, scores in every.items()]
    return models.Table("title: more", list(ours), rows)


def test_mean_is_compared_over_the_sets_that_a_peer_has(models):
    joint = table(
        models, {"a": 70.0, "b": 80.0}, {"a": 60.0, "b": 82.0},
        Snorkel={"a": 69.0}, HyperLM={"a": 60.0, "b": 60.0},
    )  # fmt: skip
    apart = models.Table("apart", [], [models.Row(row.name, {}) for row in joint.rows])
    lead, worst = models.accuracy_claims(apart, joint)
    assert (lead.ours, lead.peer, lead.goal, lead.holds) == (70, 69, ">= 72.00", False)
    assert (worst.ours, worst.goal, worst.holds) == (-2, ">= -1", False)
    assert worst.how.endswith("b (title)")


def test_a_score_on_test_goes_before_a_transductive_one(models):
    joint = table(models, {"a": 70.0, "b": 80.0}, {"a": 70.0, "b": 80.0}, Snorkel={"b": 1.0})
    apart = table(models, {"b": 50.0}, {"b": 50.0}, Snorkel={"b": 40.0})
    lead, _ = models.accuracy_claims(apart, joint)
    assert (lead.ours, lead.peer) == (50, 40)


def test_a_set_with_a_goal_makes_a_claim(models):
    joint = table(models, {"trec": 65.96}, {"trec": 60.0}, HyperLM={"trec": 66.03})
    apart = models.Table("apart", [], [models.Row(row.name, {}) for row in joint.rows])
    *_, told = models.accuracy_claims(apart, joint)
    assert (told.name, told.ours, told.peer, told.holds) == ("label model on trec", 66, 66.03, True)


def test_columns_show_what_is_recorded_and_what_is_missing(models):
    rows = [models.Row("one", {"short": 1.0, "very_long": 2.5}), models.Row("two", {"short": 3.0},
            frozenset({"short"}))]  # fmt: skip
    assert models.as_columns(models.Table("t", ["short", "very_long"], rows)).splitlines() == [
        "== t",
        "                           short very_l.    mean",
        "one                         1.00    2.50    1.75",
        "two                         3.00r      -       -",
        "r: recorded earlier, not measured in this run",
    ]


def test_many_sets_stand_in_blocks_of_eight(models):
    names = [f"set{number}" for number in range(9)]
    text = models.as_columns(models.Table("t", names, [models.Row("x", dict.fromkeys(names, 1.0))]))
    lines = text.splitlines()
    assert len(lines) == 5
    assert "mean" not in lines[1]
    assert lines[3].split() == ["set8", "mean"]
    assert max(map(len, lines)) <= 100


def test_the_benchmark_runs_without_peers(models, folder, capsys):
    file = folder / "out.json"
    arguments = [str(folder), "--only", "made", "--only", "train_only", "--peers", "none"]
    assert models.main([*arguments, "--json", str(file)]) == 0
    told = json.loads(file.read_text())["claims"]
    assert [each["name"] for each in told] == [
        "label model over majority vote",
        "at or above a naive Bayes on all of train's gold",
        "at or above a naive Bayes on all of train's gold, abstention counts",
        "calibration error, without gold",
        "calibration error, validation split as gold",
    ]
    assert "== fit on train, scored on test" in capsys.readouterr().out


def test_all_our_methods_answer(models, sets, folder):
    task = sets.split_task(sets.read_folder(folder, ["made"])[0])
    for method in models.METHODS:
        probs = models.answers(method.make(task.classes), task)
        assert probs.shape == (20, 2), method.name
        np.testing.assert_allclose(probs.sum(axis=1), 1)


# speed -----------------------------------------------------------------------------------------


def test_copies_are_copies(speed):
    task = speed.copied_task(0, 8, 0.0, rows=200)
    assert task.fit.shape == (200, 13)
    assert (task.fit[:, 5:] == task.fit[:, 5:6]).all()
    near = speed.copied_task(0, 8, 0.1, rows=200).fit[:, 5:]
    assert 0 < (near != task.fit[:, 5:6]).mean() < 0.1


def test_made_votes_abstain_on_seven_of_ten_rows(speed, tmp_path):
    votes_file, gold_file = speed.make_votes(tmp_path, 500, 10)
    votes, gold = np.load(votes_file), np.load(gold_file)
    assert votes.shape == (500, 100)
    assert (votes == -1).mean() == pytest.approx(0.7, abs=0.02)
    right = (votes == gold[:, None])[votes >= 0].mean()
    assert 0.45 < right < 0.7


def test_a_job_that_meets_a_limit_costs_the_limits(speed):
    cost = speed.run([sys.executable, "-c", "raise MemoryError"])
    assert cost["seconds"] == speed.LONGEST_SECONDS
    assert cost.trouble == "; stopped at 12 GiB of memory"
    fine = speed.run([sys.executable, "-c", "print('{\"seconds\": 1.5}')"])
    assert (fine["seconds"], fine.trouble) == (1.5, "")


def test_a_job_that_fails_stops_the_benchmark(speed, tmp_path):
    script = tmp_path / "job.py"
    script.write_text("raise ValueError('alas')")
    with pytest.raises(RuntimeError, match=r"job\.py failed: ValueError: alas"):
        speed.run([sys.executable, script])


def test_without_snorkel_its_recorded_costs_stand(speed, tmp_path):
    gone = tmp_path / "votes.npy"
    assert speed.snorkel_costs(None, gone, 10, gone) is speed.SNORKEL_COSTS
    python = Path(sys.executable)
    assert speed.snorkel_costs(python, gone, 10, gone) is speed.SNORKEL_COSTS
