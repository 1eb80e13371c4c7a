from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from gristmill.validate.statistics.documents import from_document, to_document
from gristmill.validate.statistics.frequent import FrequentValues
from gristmill.validate.statistics.quantiles import Quantiles


@dataclass(frozen=True)
class _State:
    matrix: NDArray[np.float32]
    lengths: Quantiles
    values: FrequentValues
    counts: dict[int, int]


STATE = _State(
    np.arange(6, dtype=np.float32).reshape(2, 3),
    Quantiles.of(np.arange(4.0)),
    FrequentValues.of({"a": 2}),
    {3: 1},
)


def test_a_state_survives_json() -> None:
    document = msgspec.json.decode(msgspec.json.encode(to_document(STATE)))
    again = from_document(_State, document)
    assert np.array_equal(again.matrix, STATE.matrix)
    assert again.matrix.dtype == np.float32
    assert again.matrix.flags.writeable
    assert again.lengths.to_bytes() == STATE.lengths.to_bytes()
    assert again.values.counts() == {"a": 2}
    assert again.counts == {3: 1}


@pytest.mark.parametrize(
    "change",
    [
        {"matrix": {"shape": [9, 9], "data": ""}},
        {"matrix": {"shape": [1], "data": "AAA="}},
        {"matrix": [1, 2]},
        {"lengths": "!!"},
        {"counts": {"x": 1}},
        {"more": 1},
    ],
)
def test_damage_is_a_value_error(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        from_document(_State, to_document(STATE) | change)


def test_what_has_no_document_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="no document for a object"):
        to_document(object())
