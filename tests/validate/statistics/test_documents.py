from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from gristmill.validate.statistics.documents import Documented
from gristmill.validate.statistics.frequent import FrequentValues
from gristmill.validate.statistics.quantiles import Quantiles


@dataclass(frozen=True)
class _State(Documented):
    matrix: NDArray[np.float32]
    lengths: Quantiles
    values: FrequentValues
    counts: dict[int, int]


@dataclass(frozen=True)
class _Odd(Documented):
    value: object


STATE = _State(
    np.arange(6, dtype=np.float32).reshape(2, 3),
    Quantiles.of(np.arange(4.0)),
    FrequentValues.of({"a": 2}),
    {3: 1},
)


def test_a_state_survives_json() -> None:
    document = msgspec.json.decode(msgspec.json.encode(STATE.to_document()))
    again = _State.from_document(document)
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
        _State.from_document(STATE.to_document() | change)


def test_what_has_no_document_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="no document for a object"):
        _Odd(object()).to_document()
