import gc
import weakref

import pytest

from gristmill.serve.server.heap import frozen_heap


class Model:
    pass


def test_the_collector_looks_at_nothing_older():
    model = Model()
    model.itself = model
    model_ref = weakref.ref(model)
    del model
    kept = Model()
    kept_ref = weakref.ref(kept)
    with frozen_heap():
        assert model_ref() is None  # what was garbage is gone before
        assert gc.get_freeze_count() > 1000
        assert not any(each is kept for each in gc.get_objects())
        del kept
        assert kept_ref() is None  # without the collector
    assert gc.get_freeze_count() == 0


def test_all_is_as_before_after_an_error():
    with pytest.raises(ValueError, match="broken"), frozen_heap():
        raise ValueError("broken")
    assert gc.get_freeze_count() == 0
