"""The main example's own code, on messages made up here; the whole of it runs in `make demo`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from gristmill.core.metrics import score_binary
from gristmill.label import apply
from gristmill.pipeline import Policy, Verdict
from gristmill.pipeline.load import import_file, load_pipeline
from gristmill.validate import Schema, profile, quarantine

FOLDER = Path(__file__).parents[2] / "examples" / "sms_spam"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import a module of the example, and forget it afterwards."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    before = set(sys.modules)

    def load(name: str) -> ModuleType:
        return import_file(FOLDER / f"{name}.py")

    yield load
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
            del sys.modules[name]


MESSAGES = {
    "URGENT! You have won a 1000 pound prize. Call 09061701461 now to claim, 150p/min": "spam",
    "FREE entry into our weekly draw, txt WIN to 80086. T&Cs www.example.co.uk": "spam",
    "Latest ringtones from Nokia! Reply TONE to 8007. To unsubscribe text STOP": "spam",
    "Are you coming home for dinner tonight?": "ham",
    "haha ok see you later :)": "ham",
    "Sorry, stuck at work, will be late": "ham",
}


def test_labelling_functions_vote_as_a_person_would(example: Any) -> None:
    labelers = example("labelers")
    frame = pl.DataFrame({"text": list(MESSAGES)})
    votes = apply(labelers.FUNCTIONS, frame, classes=labelers.CLASSES)
    for number, (text, wanted) in enumerate(MESSAGES.items()):
        said = [labelers.CLASSES[vote] for vote in votes.matrix[number] if vote >= 0]
        assert said.count(wanted) > len(said) / 2, text
    assert len(set(votes.names)) == len(labelers.FUNCTIONS)


def batch(rows: int, start: int) -> pl.DataFrame:
    numbers = range(start, start + rows)
    texts = [f"caf\u00e9 {number:05d} " + "word " * (9 + number * 7 % 5) for number in numbers]
    return pl.DataFrame(
        {
            "row_id": list(range(start, start + rows)),
            "text": texts,
            "chars": [len(text) for text in texts],
            "words": [len(text.split()) for text in texts],
            "digits": ["few" if number % 3 else "many" for number in range(rows)],
        }
    )


def test_every_damage_of_the_bad_day_is_found(example: Any, tmp_path: Path) -> None:
    train, later = batch(3000, 0), batch(1100, 10_000)
    statistics = profile(train)
    schema = Schema.infer(statistics)
    assert schema.check(later, baseline=statistics).ok
    path = example("corruption").write_corrupted(later, tmp_path / "bad.csv")
    report = schema.check(path, baseline=statistics)
    found = {(finding.code, finding.feature) for finding in report.findings}
    assert {
        ("missing_column", "words"),
        ("wrong_type", "chars"),
        ("unseen_value", "digits"),
        ("broken_encoding", "text"),
        ("duplicate_rows", None),
        ("length_out_of_range", "text"),
    } <= found
    wrong = next(finding for finding in report.findings if finding.code == "wrong_type")
    assert wrong.evidence.rows == tuple(range(15))
    good, bad = quarantine(path, report)
    assert good.height + bad.height == report.checked_rows
    assert bad["reasons"].list.len().min() == 1


def test_the_comparison_fits_eighty_columns_and_names_everyone(example: Any) -> None:
    comparing = example("comparing")
    truth = [0, 1] * 60
    answers = pl.DataFrame({"truth": truth, **dict.fromkeys(comparing.ORDER, truth)}).with_columns(
        pl.Series("gold only", [0, 0, 1, 1] * 30)
    )
    rows = comparing.score_all(answers)
    text = comparing.as_text(rows)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert [row["name"] for row in rows] == list(comparing.ORDER)
    assert comparing.figures_of(rows, "weak + gold") == {"precision": 1, "recall": 1, "f1": 1}
    found = comparing.judged(answers, "weak + gold", "gold only", Policy())
    assert found.passed
    assert found.evidence["figure"] == 1
    (compared,) = found.evidence["comparisons"]
    assert compared["gain"]["value"] == 1 - score_binary(truth, answers["gold only"]).f1


def test_of_two_verdicts_the_stricter_counts_with_the_reasons_of_both(example: Any) -> None:
    stricter = example("comparing").stricter
    yes, no = Verdict("promote", ["a", "b"], "m"), Verdict("hold", ["a", "c"], "m")
    found = stricter(yes, no)
    assert (found.verdict, found.reasons) == ("hold", ["a", "b", "c"])
    assert stricter(yes, yes).passed


def test_the_pipeline_is_wired_and_labels_do_not_leak_into_training(example: Any) -> None:
    example("labelers")
    pipeline = load_pipeline(FOLDER / "pipeline.py")
    assert pipeline.names[0] == "messages"
    assert pipeline.names[-1] == "report"
    for name in ("linear", "mlp", "cnn", "transformer", "label_model", "votes"):
        assert "test_rows" not in pipeline.upstream([name])
    assert "gate" in pipeline.upstream(["served"])
    assert "gate" in pipeline.upstream(["predictions"])
