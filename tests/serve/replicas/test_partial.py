import numpy as np
import pytest

from gristmill.serve.replicas.partial import PartlyAnswered
from gristmill.serve.runners.rows import Rows


@pytest.fixture
def partly():
    rows = [Rows({"x": np.array([value])}) for value in (1, 2, 3)]
    return PartlyAnswered([rows[0], ValueError("bad row"), rows[1], rows[2]])


def test_a_request_without_a_bad_row_has_its_answers(partly):
    assert partly.of(0, 1)["x"].tolist() == [1]
    assert partly.of(2, 4)["x"].tolist() == [2, 3]


@pytest.mark.parametrize(("start", "stop"), [(1, 2), (0, 2), (0, 4)])
def test_a_request_with_a_bad_row_has_the_reason(partly, start, stop):
    assert str(partly.of(start, stop)) == "bad row"


def test_it_says_how_many_and_why(partly):
    assert str(partly) == "1 of 4 rows have no answer: bad row"
