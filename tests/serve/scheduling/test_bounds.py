import pytest

from gristmill.core.errors import UsageError
from gristmill.serve.scheduling.bounds import Bounds


def test_defaults_hold():
    assert Bounds().batch_rows == 64


@pytest.mark.parametrize("name", ["batch_rows", "batch_work", "queue_rows", "queue_bytes"])
def test_every_bound_is_above_zero(name):
    with pytest.raises(UsageError, match=f"^expected {name} above 0, found 0$"):
        Bounds(**{name: 0})
