import numpy as np
import pytest

from gristmill.core.errors import StoreError, UsageError
from gristmill.serve.runners.rows import Ragged, Rows
from gristmill.serve.watch.keeping import Keeping
from gristmill.serve.watch.kept_predictions import kept_predictions
from gristmill.serve.watch.prediction_log import PredictionLog

VERSION = "0123456789abcdef"


@pytest.fixture
def keep(tmp_path, clock):
    """keep(*texts, log=None): note one request, and return the names of its rows."""
    opened = []

    def open_(**options):
        opened.append(PredictionLog(tmp_path, clock=clock, classes=("ham", "spam"), **options))
        return opened[-1]

    def note(*texts, log=None, keys=None):
        log = log or (opened[0] if opened else open_())
        name = log.name(VERSION)
        log.note(name, VERSION, *asked(texts), keys or [f"k-{text}" for text in texts])
        log.flush()
        return [f"{name}-{row}" for row in range(len(texts))]

    note.open = open_
    yield note
    for log in opened:
        log.close()


def asked(texts):
    probs = np.array([[1.0, 0.0] if len(text) % 2 else [0.25, 0.75] for text in texts])
    labels = ["ham" if len(text) % 2 else "spam" for text in texts]
    answers = {"label": labels, "prob": probs.max(axis=1), "probs": probs}
    return Rows({"text": [*texts]}), Rows(answers)


def test_a_row_is_kept_as_it_was_asked_and_answered(keep, tmp_path, clock):
    names = keep("one", "four")
    first, second = kept_predictions(tmp_path)
    assert [first.name, second.name] == names
    assert (first.inputs, second.inputs) == ({"text": "one"}, {"text": "four"})
    assert first.answer == {"label": "ham", "prob": 1.0, "probs": {"ham": 1.0, "spam": 0.0}}
    assert (second.version, second.at, second.key) == (VERSION, clock.now, "k-four")
    assert (second.truth, second.told_at, second.who, second.correction) == (None,) * 3 + (False,)


def test_processes_are_read_together_in_the_order_of_prediction(keep, tmp_path, clock):
    one, other = keep.open(), keep.open()
    for text, log in (("a", one), ("b", other), ("c", one), ("d", other)):
        keep(text, log=log)
        clock.now += 10
    assert [kept.inputs["text"] for kept in kept_predictions(tmp_path)] == ["a", "b", "c", "d"]
    start = clock.now - 40
    some = kept_predictions(tmp_path, since=start + 10, until=start + 30)
    assert [kept.inputs["text"] for kept in some] == ["b", "c"]


def test_times_are_found_across_files(keep, tmp_path, clock):
    log = keep.open(keeping=Keeping(max_bytes=8000))
    for number in range(40):
        keep("x" * 100 + str(number), log=log)
        clock.now += 100
    begun = clock.now - 4000
    files = list(tmp_path.glob("predictions/*/*.log"))
    assert len(files) > 3
    some = [kept.at for kept in kept_predictions(tmp_path, since=begun + 3000, until=begun + 3500)]
    assert some == [begun + 3000 + 100 * number for number in range(5)]


def test_tensors_come_back_as_arrays_and_large_ones_are_left_out(keep, tmp_path):
    log = keep.open(keeping=Keeping(tensor_bytes=100))
    ragged = Ragged(np.arange(5, dtype=np.int64), np.array([0, 2, 5]))
    rows = {
        "small": np.arange(6, dtype=np.float32).reshape(2, 3),
        "large": np.zeros((2, 30)),
        "tokens": ragged,
        "missing": ["a", None],
    }
    log.note(log.name(VERSION), VERSION, Rows(rows), Rows({"y": np.array([1, 2])}), ["", ""])
    log.flush()
    first, second = kept_predictions(tmp_path)
    assert first.inputs.keys() == {"small", "tokens", "missing"}
    assert second.inputs["small"].dtype == np.float32
    assert second.inputs["small"].tolist() == [3.0, 4.0, 5.0]
    assert second.inputs["tokens"].tolist() == [2, 3, 4]
    assert second.inputs["missing"] is None
    assert second.answer == {"y": 2}


def test_what_stands_before_damage_is_read(keep, tmp_path, clock):
    keep("one")
    keep("four")
    (file,) = tmp_path.glob("predictions/*/*.log")
    data = file.read_bytes()
    file.write_bytes(data[:-3])
    assert [kept.inputs["text"] for kept in kept_predictions(tmp_path)] == ["one"]
    file.write_bytes(data.replace(b"one", b"two"))
    assert list(kept_predictions(tmp_path)) == []


def test_a_folder_without_predictions_is_told(tmp_path):
    with pytest.raises(UsageError, match="no predictions were kept here"):
        list(kept_predictions(tmp_path))


def test_a_foreign_file_is_told(keep, tmp_path):
    keep("one")
    (tmp_path / "predictions" / "server" / "00000009.log").write_bytes(b"no segment of ours")
    with pytest.raises(StoreError, match="expected a segment"):
        list(kept_predictions(tmp_path))
