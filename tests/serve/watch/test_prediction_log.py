"""How predictions are noted and written: what is lost, counted, dropped, never given twice."""

import os
import threading

import numpy as np
import pytest

from gristmill.core.errors import StoreError, UsageError
from gristmill.serve.runners.rows import Rows
from gristmill.serve.watch import prediction_log
from gristmill.serve.watch.keeping import Keeping
from gristmill.serve.watch.kept_predictions import kept_predictions
from gristmill.serve.watch.prediction_log import PredictionLog
from gristmill.serve.watch.truth_log import Telling, TruthLog

VERSION = "0123456789abcdef"


@pytest.fixture
def open_log(tmp_path, clock):
    """open_log(**keeping): a log of predictions in `tmp_path`."""
    opened = []

    def open_(classes=(), **keeping):
        log = PredictionLog(tmp_path, classes=classes, keeping=Keeping(**keeping), clock=clock)
        opened.append(log)
        return log

    yield open_
    for log in opened:
        log.close()


def note(log, text="a"):
    name = log.name(VERSION)
    log.note(name, VERSION, Rows({"text": [text]}), Rows({"y": [1]}), [text])
    return name


def texts(folder):
    return [kept.inputs["text"] for kept in kept_predictions(folder)]


def test_what_was_noted_is_written_by_a_thread_soon(open_log, tmp_path, monkeypatch):
    monkeypatch.setattr(prediction_log, "FLUSH_SECONDS", 0.01)
    log, written = open_log(), threading.Event()
    flush = log.flush
    log.flush = lambda: (flush(), written.set())
    note(log, "one")
    assert written.wait(20)
    assert texts(tmp_path) == ["one"]
    written.clear()
    note(log, "two")
    assert written.wait(20)
    assert texts(tmp_path) == ["one", "two"]


def test_no_name_is_given_twice_whatever_comes_of_it(open_log, tmp_path):
    log = open_log()
    names = [note(log) for _ in range(3)] + [log.name(VERSION)]
    log.flush()
    lost = note(log)
    log._log.close()  # as a killed process would leave it
    log._instance.release()
    again = open_log()
    names += [lost, note(again), note(open_log())]
    assert len(set(names)) == len(names)
    assert all(log.knows(f"{name}-0") for name in names[:-1])
    assert not log.knows(f"{names[-1]}-0")


def test_too_much_at_a_time_is_dropped_and_counted(open_log, tmp_path, monkeypatch):
    monkeypatch.setattr(prediction_log, "_MOST_PENDING", 2000)
    monkeypatch.setattr(prediction_log, "FLUSH_SECONDS", 60.0)
    log = open_log()
    names = [note(log, "x" * 400) for _ in range(5)]
    assert [bool(name) for name in names] == [True, True, True, False, False]
    assert log.counts == {"kept": 3, "dropped": 2}
    log.flush()
    assert note(log, "again")


def test_a_value_that_cannot_be_written_fails_no_answer(open_log, tmp_path):
    log = open_log()
    name = log.name(VERSION)
    log.note(name, VERSION, Rows({"text": [object()]}), Rows({"y": [1]}), ["k"])
    good = note(log, "good")
    assert name != good
    assert log.counts == {"failed": 1, "kept": 1}
    log.flush()
    assert texts(tmp_path) == ["good"]


def test_a_full_disk_loses_predictions_and_nothing_else(open_log, tmp_path, monkeypatch):
    log = open_log()
    note(log, "before")
    log.flush()
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:-1]))
    note(log, "lost")
    log.flush()
    monkeypatch.undo()
    note(log, "after")
    log.flush()
    assert log.counts == {"kept": 3, "not_written": 1}
    assert texts(tmp_path) == ["before", "after"]


def test_other_classes_begin_a_file_of_their_own(open_log, tmp_path):
    for classes in (("a", "b"), ("b", "c"), ("b", "c")):
        log = open_log(classes)
        rows = Rows({"label": [classes[0]], "probs": np.array([[0.75, 0.25]])})
        log.note(log.name(VERSION), VERSION, Rows({"text": ["t"]}), rows, ["k"])
        log.close()
    found = [kept.answer["probs"] for kept in kept_predictions(tmp_path)]
    assert found == [{"a": 0.75, "b": 0.25}, {"b": 0.75, "c": 0.25}, {"b": 0.75, "c": 0.25}]
    assert len(list(tmp_path.glob("predictions/server/*.log"))) == 2


def test_a_torn_end_is_cut_off_and_told(open_log, tmp_path):
    log = open_log()
    note(log, "one")
    note(log, "two")
    log.close()
    assert not log.damaged
    (file,) = tmp_path.glob("predictions/*/*.log")
    file.write_bytes(file.read_bytes()[:-2])
    again = open_log()
    assert again.damaged
    note(again, "three")
    again.flush()
    assert texts(tmp_path) == ["one", "three"]


def test_the_files_of_a_process_that_is_gone_are_dropped_by_their_age(open_log, tmp_path, clock):
    one, two = open_log(max_age=100.0), open_log(max_age=100.0)
    note(one, "one")
    note(two, "two")
    two.close()
    one.flush()
    (old,) = tmp_path.glob("predictions/server-2/*.log")
    os.utime(old, (clock.now, clock.now))
    clock.now += 90.0
    one.flush()
    assert old.exists()
    clock.now += 90.0
    one.flush()
    assert not old.exists()


def test_limits_that_make_no_sense_are_told(tmp_path):
    for wrong in ({"rate": 0.0}, {"rate": 1.5}, {"max_bytes": 0}, {"max_age": -1.0}):
        with pytest.raises(UsageError):
            Keeping(**wrong)
    with pytest.raises(UsageError, match="tensor_bytes"):
        Keeping(tensor_bytes=-1)
    (tmp_path / "predictions").write_text("in the way")
    with pytest.raises(StoreError, match="predictions cannot be kept"):
        PredictionLog(tmp_path)


def test_many_threads_tell_while_predictions_are_noted(open_log, tmp_path):
    log = open_log()
    with TruthLog(tmp_path) as truths:
        names = [note(log, str(number)) for number in range(40)]
        log.flush()
        statuses = []

        def tell(part):
            for name in names[part::2]:
                statuses.extend(truths.tell([Telling(f"{name}-0", part, str(part))]))

        threads = [threading.Thread(target=tell, args=(part,)) for part in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(40):
            note(log, "meanwhile")
            log.flush()
        for thread in threads:
            thread.join()
    assert statuses == ["joined"] * 40
    told = [kept.truth for kept in kept_predictions(tmp_path)]
    assert told == [0, 1] * 20 + [None] * 40
