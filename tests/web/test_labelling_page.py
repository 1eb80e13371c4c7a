from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from gristmill.core.errors import LabelError
from gristmill.label.models.label_model import LabelModel
from gristmill.label.models.majority import MajorityVote
from gristmill.label.votes import Votes
from gristmill.web import label_page
from gristmill.web.report import MAX_BYTES

Read = Callable[[str], Any]


def drawn(rows: int, sources: int, text: str) -> tuple[Votes, pl.DataFrame, np.ndarray]:
    """Votes of sources that are right three times out of four, on rows that all hold a text."""
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, rows)
    right = draw.random((rows, sources)) < 0.75
    matrix = np.where(right, truth[:, None], 1 - truth[:, None])
    matrix[draw.random((rows, sources)) < 0.6] = -1
    names = [f"{text[:20]}_{at}" for at in range(sources)]
    votes = Votes.from_matrix(matrix, classes=["ham", "spam"], names=names)
    texts = [f"{text} {'prize' if at % 3 else 'lunch'} {at}" for at in range(rows)]
    return votes, pl.DataFrame({"text": texts}), truth


def test_the_page_of_everything(read: Read) -> None:
    votes, table, truth = drawn(300, 4, "hello")
    model = LabelModel(votes.classes).fit(votes)
    members = pl.DataFrame({"row_id": range(300), "late": np.arange(300) > 200})
    page = label_page(
        votes, table, labels=model.predict(votes), gold=truth, model=model, slices=members,
        title="My project", seconds={votes.names[0]: 0.3},
    )  # fmt: skip
    assert [section.title for section in page.sections] == [
        "Labelling functions", "What to write next", "Where functions disagree",
        "Who contradicts whom", "Errors", "Slices", "Worth reviewing",
    ]  # fmt: skip
    text = read(page.render()).text
    for shown in (
        "4 functions on 300 rows, 2 classes: ham, spam",
        "gold rows",
        "estimated",
        "late",
    ):
        assert shown in text
    assert page.render() == label_page(
        votes, table, labels=model.predict(votes), gold=truth, model=model, slices=members,
        title="My project", seconds={votes.names[0]: 0.3},
    ).render()  # fmt: skip


def test_votes_alone_are_enough(read: Read) -> None:
    votes, table, _ = drawn(60, 1, "hello")
    page = label_page(votes, table)
    assert [section.title for section in page.sections] == [
        "Labelling functions", "What to write next", "Where functions disagree"
    ]  # fmt: skip
    labelled = label_page(votes, table, labels=MajorityVote(votes.classes).predict(votes))
    assert labelled.sections[-1].title == "Worth reviewing"


def test_many_rows_long_texts_and_many_functions_make_a_small_page(tmp_path: Path) -> None:
    votes, table, truth = drawn(3000, 70, "x" * 5000)
    model = MajorityVote(votes.classes)
    page = label_page(votes, table, labels=model.predict(votes), gold=truth, model=model)
    assert page.write(tmp_path / "page.html").stat().st_size < MAX_BYTES


@pytest.mark.parametrize(
    "text", ["</script><script>alert(1)</script>", "\"><img src=x onerror='x'>"]
)
def test_texts_of_rows_and_names_are_escaped(text: str, read: Read) -> None:
    votes, table, truth = drawn(120, 3, text)
    labels = MajorityVote(votes.classes).predict(votes)
    seen = read(label_page(votes, table, labels=labels, gold=truth, title=text).render())
    assert seen.count("script") == 1
    assert seen.count("img") == 0


@pytest.mark.browser
def test_the_browser_has_nothing_to_say(browser: Callable[[Path], Any], tmp_path: Path) -> None:
    votes, table, truth = drawn(200, 5, "hello <b>")
    labels = MajorityVote(votes.classes).predict(votes)
    page = label_page(votes, table, labels=labels, gold=truth)
    shown = browser(page.write(tmp_path / "page.html"))
    assert shown.console == []
    assert shown.dom.count("<section") == len(page.sections)


def test_labels_say_what_rows_in_conflict_lean_to(read: Read) -> None:
    matrix = np.full((200, 4), -1)
    matrix[:100] = [0, 0, 0, 1]
    matrix[100:] = [1, 1, 1, -1]
    votes = Votes.from_matrix(matrix, classes=["ham", "spam"])
    texts = [f"{'lunch' if at < 100 else 'prize'} {at}" for at in range(200)]
    table = pl.DataFrame({"text": texts})
    labels = MajorityVote(votes.classes).predict(votes)
    with_labels, without = (
        label_page(votes, table, labels=each).sections[2] for each in (labels, None)
    )
    assert with_labels.title == without.title == "Where functions disagree"
    assert "ham" in "".join(with_labels.blocks)
    assert "ham" not in "".join(without.blocks)


def test_labels_of_other_rows_are_refused() -> None:
    votes, table, _ = drawn(60, 2, "hello")
    other, _, _ = drawn(50, 2, "hello")
    labels = MajorityVote(other.classes).predict(other)
    with pytest.raises(LabelError, match="these labels of 50 rows are not about these votes on 60"):
        label_page(votes, table, labels=labels)
