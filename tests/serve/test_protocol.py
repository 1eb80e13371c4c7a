import pytest

from gristmill.core.errors import UsageError
from gristmill.serve.protocol import Limits


@pytest.mark.parametrize("name", Limits.__struct_fields__)
@pytest.mark.parametrize("value", [0, -1])
def test_every_limit_must_be_positive(name, value):
    with pytest.raises(UsageError) as caught:
        Limits(**{name: value})
    assert caught.value.message == f"{name} must be above 0, found {value}"


def test_a_full_request_must_fit_in_the_queue():
    with pytest.raises(UsageError) as caught:
        Limits(max_queue=10, max_instances=11)
    assert caught.value.message == "max_queue (10) is below max_instances (11)"
    assert Limits(max_queue=10, max_instances=10).max_queue == 10
