from __future__ import annotations

import gristmill.train as train


def test_every_public_name_is_there_and_is_no_module():
    for name in train.__all__:
        value = getattr(train, name)
        assert callable(value), f"{name} is {value!r}"
        assert value.__doc__, name
