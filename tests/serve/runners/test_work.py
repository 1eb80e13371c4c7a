import numpy as np
import pytest

from gristmill.serve.runners.rows import Ragged, Rows
from gristmill.serve.runners.work import total_work, work_of
from gristmill.store.signature import Field

FIELDS = [Field("size", "float"), Field("text", "string"), Field("more", "string")]


@pytest.mark.parametrize(
    ("columns", "work"),
    [
        ({"size": np.ones(3)}, [1, 1, 1]),
        ({"text": ["", "12345", "1234567890"], "more": ["x" * 99] * 3}, [2, 3, 4]),
        ({"text": ["12345", None]}, [3, 2]),
        ({"ids": Ragged.of([np.ones(n) for n in (4, 0, 7)])}, [4, 0, 7]),
        ({"text": ["12345"], "ids": Ragged.of([np.ones(9)])}, [9]),
        ({}, []),
    ],
    ids=["numbers", "texts", "missing", "ragged", "ragged first", "nothing"],
)
def test_work_of_rows(columns, work):
    found = work_of(Rows(columns, len(work)), FIELDS)
    assert found.tolist() == work
    assert total_work(found) == sum(work)
