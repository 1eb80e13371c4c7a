import pytest

from gristmill.core.errors import UsageError
from gristmill.serve.replicas.opening import BUNDLE_OPENER, find_opener, open_bundle


def test_the_opener_of_bundles_is_found():
    assert find_opener(BUNDLE_OPENER) is open_bundle


@pytest.mark.parametrize(
    "name", ["", "os", "nowhere:f", "gristmill.serve.replicas.opening:nothing"]
)
def test_what_is_not_there_is_refused(name):
    with pytest.raises(UsageError, match=f"expected an opener as module:function, found '{name}'"):
        find_opener(name)
