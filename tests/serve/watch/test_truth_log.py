"""Truths joined to predictions: against a plain dict, in any order, with restarts and repeats."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import StoreError, UsageError
from gristmill.serve.journal.prediction_ids import PredictionIds
from gristmill.serve.runners.rows import Rows
from gristmill.serve.watch.keeping import Keeping
from gristmill.serve.watch.kept_predictions import kept_predictions, predictions_and_truths
from gristmill.serve.watch.known_predictions import KnownPredictions
from gristmill.serve.watch.prediction_log import PredictionLog
from gristmill.serve.watch.truth_log import Telling, TruthLog, as_truth

CLASSES = ("ham", "spam")
VERSION = "0123456789abcdef"


def note(log, *keys):
    """Note a request whose rows have these keys; return the names of its predictions."""
    name = log.name(VERSION)
    answers = Rows({"label": ["ham"] * len(keys)})
    log.note(name, VERSION, Rows({"text": [f"about {key}" for key in keys]}), answers, keys)
    return [f"{name}-{row}" for row in range(len(keys))]


@pytest.fixture
def logs(tmp_path, clock):
    """logs(**keeping): where predictions are noted, and where truths are told of them."""
    opened = []

    def open_(**keeping):
        how = Keeping(**keeping)
        opened.append(PredictionLog(tmp_path, classes=CLASSES, keeping=how, clock=clock))
        opened.append(TruthLog(tmp_path, keeping=how, clock=clock))
        return opened[-2:]

    yield open_
    for log in opened:
        log.close()


class Reference:
    """What should be known: a list of predictions, a dict of what each teller told last."""

    def __init__(self):
        self.rows, self.told = [], {}

    def tell(self, reference, truth, who, correction, now):
        by_key = reference not in [name for name, _ in self.rows]
        if by_key and reference not in [key for _, key in self.rows]:
            return "unknown"
        if truth not in CLASSES:
            return "invalid"
        place, said = (by_key, reference, who), (truth, correction)
        before = self.told.get(place)
        if before is not None and before[0] == said:
            return "repeated"
        self.told[place] = (said, now)
        return "joined" if before is None else "revised"

    def truths(self, name, key):
        """Who last told what of a row, in the order of telling."""
        found = {}
        for (by_key, reference, who), (said, now) in self.told.items():
            if reference == (key if by_key else name) and found.get(who, ("", -1))[1] < now:
                found[who] = (said, now)
        return [(who, *said) for who, (said, _) in sorted(found.items(), key=lambda i: i[1][1])]


ACTIONS = st.one_of(
    st.tuples(st.just("predict"), st.integers(0, 1), st.lists(st.sampled_from("abc"), max_size=3)),
    st.tuples(
        st.just("tell"),
        st.integers(0, 1),
        st.one_of(st.integers(0, 8), st.sampled_from(["a", "b", "c", "nobody"])),
        st.sampled_from([*CLASSES, "eggs"]),
        st.sampled_from(["", "anna"]),
        st.booleans(),
    ),
    st.tuples(st.just("restart"), st.integers(0, 1)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(ACTIONS, max_size=25))
def test_truths_are_joined_as_a_dict_would(tmp_path_factory, actions):
    folder, now = tmp_path_factory.mktemp("served"), [1000.0]
    # Small files, so that what is asked is in full ones as well.
    keeping = Keeping(max_bytes=2000 * 8, max_age=1e9)

    def opened():
        log = PredictionLog(folder, classes=CLASSES, keeping=keeping, clock=lambda: now[0])
        return log, TruthLog(folder, keeping=keeping, clock=lambda: now[0])

    processes, reference = [opened(), opened()], Reference()
    for action, process, *rest in actions:
        now[0] += 1
        log, truths = processes[process]
        if action == "predict":
            (keys,) = rest
            reference.rows += zip(note(log, *keys), keys, strict=True)
        elif action == "tell":
            place, truth, who, correction = rest
            known = reference.rows
            name = place if isinstance(place, str) else known[place][0] if known[place:] else "no"
            for other, _ in processes:
                other.flush()
            expected = reference.tell(name, truth, who, correction, now[0])
            assert truths.tell([Telling(name, truth, who, correction)]) == [expected]
        else:
            for part in processes[process]:
                part.close()
            processes[process] = opened()
    for parts in processes:
        for part in parts:
            part.close()
    found = list(predictions_and_truths(folder))
    assert sorted(kept.name for kept, _ in found) == sorted(name for name, _ in reference.rows)
    assert [kept.at for kept, _ in found] == sorted(kept.at for kept, _ in found)
    for kept, told in found:
        expected = reference.truths(kept.name, kept.key)
        assert [(each.who, each.truth, each.correction) for each in told] == expected
        last = expected[-1] if expected else ("", None, False)
        assert (kept.who or "", kept.truth, kept.correction) == last


def test_repeats_within_one_call_are_told_apart(logs):
    predictions, truths = logs()
    (name,) = note(predictions, "k")
    predictions.flush()
    tellings = [
        Telling(name, "spam"),
        Telling(name, "spam"),
        Telling(name, "spam", "anna", True),
        Telling(name, "ham"),
    ]
    assert truths.tell(tellings) == ["joined", "repeated", "joined", "revised"]
    assert truths.counts == {"joined": 2, "repeated": 1, "revised": 1}


@pytest.mark.parametrize(
    ("who", "status"),
    [("Zoë O'Neil", "joined"), ("a" * 200, "joined"), ("a" * 201, "invalid"), ("a\nb", "invalid")],
    ids=["plain", "long", "too long", "two lines"],
)
def test_a_teller_has_a_name_that_can_be_shown(logs, who, status):
    predictions, truths = logs()
    (name,) = note(predictions, "k")
    predictions.flush()
    assert truths.tell([Telling(name, "spam", who)]) == [status]


def test_what_is_told_last_counts_whether_by_name_or_by_key(logs, tmp_path, clock):
    predictions, truths = logs()
    (name,) = note(predictions, "k")
    predictions.flush()

    def told(reference, truth, who):
        clock.now += 1
        truths.tell([Telling(reference, truth, who)])
        ((kept, known),) = predictions_and_truths(tmp_path)
        return kept.truth, kept.who, [each.who for each in known]

    assert told(name, "spam", "anna") == ("spam", "anna", ["anna"])
    assert told("k", "ham", "ben") == ("ham", "ben", ["anna", "ben"])
    assert told("k", "spam", "anna") == ("spam", "anna", ["ben", "anna"])
    assert told("k", "spam", "ben") == ("spam", "ben", ["anna", "ben"])
    assert told("k", "ham", "anna") == ("ham", "anna", ["ben", "anna"])


def test_a_prediction_whose_record_went_has_expired(logs, tmp_path, clock):
    predictions, truths = logs(max_bytes=8000)
    (old,) = note(predictions, "old")
    predictions.flush()
    for number in range(200):
        note(predictions, f"k{number}")
        predictions.flush()
    files = list(tmp_path.glob("predictions/*/*.log"))
    assert sum(path.stat().st_size for path in files) < 9000
    forged = old[:-3] + ("0-0" if old[-3] != "0" else "1-0")
    tellings = [Telling(each, "ham") for each in (old, "old", forged, "k199")]
    assert truths.tell(tellings) == ["expired", "unknown", "unknown", "joined"]


def test_a_name_that_another_process_has_not_written_yet_is_taken(logs, tmp_path):
    predictions, _ = logs()
    _, truths = logs()
    (name,) = note(predictions, "k")
    assert truths.tell([Telling(name, "spam")]) == ["joined"]
    predictions.flush()
    assert [kept.truth for kept in kept_predictions(tmp_path)] == ["spam"]


def test_old_predictions_and_truths_are_dropped_by_their_age(logs, tmp_path, clock):
    predictions, truths = logs(max_age=100.0)
    for number in range(20):
        (name,) = note(predictions, f"k{number}")
        predictions.flush()
        assert truths.tell([Telling(name, "ham")]) == ["joined"]
        clock.now += 30.0
    ages = [clock.now - kept.at for kept in kept_predictions(tmp_path)]
    assert 3 <= len(ages) <= 7
    assert max(ages) <= 200.0
    assert len(list(tmp_path.glob("truths/*/*.log"))) <= 7


@pytest.mark.parametrize(
    ("truth", "classes", "kept"),
    [
        (1, ("0", "1"), "1"),
        (1.0, ("0", "1"), "1"),
        (True, ("0", "1"), "1"),
        (False, ("false", "true"), "false"),
        (2, ("0", "1"), None),
        (1.5, ("0", "1"), None),
        ("spam", ("ham", "spam"), "spam"),
        (2.5, (), 2.5),
        ("any text", (), "any text"),
        (1 << 63, (), None),
        (-(1 << 63), (), -(1 << 63)),
    ],
)
def test_a_class_may_be_told_as_the_number_that_it_is(truth, classes, kept):
    found = as_truth(truth, classes)
    assert (found, type(found)) == (kept, type(kept))


def test_values_are_told_of_answers_that_are_no_classes(tmp_path):
    with PredictionLog(tmp_path) as predictions:
        name = predictions.name(VERSION)
        answers = Rows({"price": np.array([1.5])})
        predictions.note(name, VERSION, Rows({"text": ["a"]}), answers, ["k"])
    with TruthLog(tmp_path) as truths:
        assert truths.tell([Telling("k", 2.5)]) == ["joined"]
    assert [kept.truth for kept in kept_predictions(tmp_path)] == [2.5]


def test_a_damaged_file_ends_no_telling_and_is_counted(logs, tmp_path):
    predictions, truths = logs(max_bytes=8000)
    names = []
    for number in range(20):
        names += note(predictions, f"k{number}")
        predictions.flush()
    first, *_ = sorted(tmp_path.glob("predictions/*/*.log"))
    data = bytearray(first.read_bytes())
    data[-5] ^= 1
    first.write_bytes(data)
    assert truths.tell([Telling(names[0], "ham"), Telling("k19", "ham")]) == ["joined", "joined"]
    assert truths.damaged == 1


def test_what_cannot_be_written_is_told(logs, tmp_path):
    predictions, truths = logs()
    (name,) = note(predictions, "k")
    predictions.flush()
    (tmp_path / "truths").write_text("in the way")
    with pytest.raises(StoreError, match="truths cannot be kept"):
        truths.tell([Telling(name, "ham")])
    assert not truths.counts


def test_without_predictions_there_is_nothing_to_tell_of(tmp_path):
    with TruthLog(tmp_path) as truths, pytest.raises(UsageError, match="no predictions"):
        truths.refreshed()


KILLED = """
import os, signal, sys
from pathlib import Path
from gristmill.serve.runners.rows import Rows
from gristmill.serve.watch.prediction_log import PredictionLog
from gristmill.serve.watch.truth_log import Telling, TruthLog
folder = Path(sys.argv[1])
log, truths = PredictionLog(folder), TruthLog(folder)
for number in range(5):
    name = log.name("abc")
    log.note(name, "abc", Rows({"text": [str(number)]}), Rows({"y": [1]}), [f"k{number}"])
    if number == 2:
        log.flush()
        truths.tell([Telling("k1", 7)])
        with open(folder / "name", "w") as file:
            file.write(name)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_loses_no_more_than_what_was_not_written(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False, timeout=60)
    kept = [(each.inputs["text"], each.truth) for each in kept_predictions(tmp_path)]
    assert kept == [("0", None), ("1", 7), ("2", None)]
    given = PredictionIds.of(tmp_path / "predictions" / "server")
    with PredictionLog(tmp_path) as again:
        # Two more names were given out before the end: none of them is given again.
        (name,) = note(again, "k9")
        last = given.read((tmp_path / "name").read_text() + "-0")
        assert given.read(name).number > last.number + 2
    assert len(list(kept_predictions(tmp_path))) == 4


def test_what_is_kept_is_read_before_the_first_truth_is_told(logs, tmp_path, monkeypatch):
    predictions, truths = logs()
    truths.read_ahead()
    names = [note(predictions, f"k{number}")[0] for number in range(600)]
    predictions.flush()
    truths.tell([Telling(names[0], "spam")])
    with TruthLog(tmp_path) as later:
        later.read_ahead()
        (reader,) = [each for each in threading.enumerate() if each.name == "kept-truths"]
        assert later.tell([Telling(names[0], "spam")]) == ["repeated"]  # in the midst of it
        reader.join()
        monkeypatch.setattr("gristmill.serve.watch.known_predictions.decode_names", None)
        assert later.tell([Telling(names[599], "ham"), Telling("k3", "ham")]) == ["joined"] * 2


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
@settings(max_examples=20)
def test_reading_in_steps_finds_what_reading_at_once_does(tmp_path_factory, actions):
    folder = tmp_path_factory.mktemp("kept")
    keeping = Keeping(max_bytes=6000)
    names = []
    with pytest.MonkeyPatch.context() as patch, PredictionLog(folder, keeping=keeping) as log:
        patch.setattr("gristmill.serve.journal.segment_index._RECORDS_AT_ONCE", 2)
        known = KnownPredictions(folder)
        readers = [iter(()), iter(())]
        for action in actions:
            if action < 2:
                if next(readers[action], log) is log:
                    readers[action] = known.refreshing()
            else:
                names += [note(log, f"k{len(names)}")[0] for _ in range(action)]
                log.flush()
        known.refresh()
        fresh = KnownPredictions(folder)
        fresh.refresh()
    assert [known.find(name) for name in names] == [fresh.find(name) for name in names]
