from __future__ import annotations

import pytest

from gristmill.core.errors import UsageError
from gristmill.core.suggestion import check_keys, did_you_mean


def test_the_word_most_like_it_is_suggested() -> None:
    assert did_you_mean("modle", iter(["alias", "model"]), None) == "did you mean 'model'?"
    assert did_you_mean("x", ["alias", "model"], "use one") == "use one"
    assert did_you_mean("x", [], None) is None


def test_an_unknown_key_is_refused() -> None:
    check_keys({"model": 1}, iter(["alias", "model"]), "s.toml")
    with pytest.raises(UsageError) as told:
        check_keys({"model": 1, "alia": 2}, ["alias", "model"], "s.toml")
    assert str(told.value) == "s.toml: unknown key 'alia'\n  fix: did you mean 'alias'?"
    with pytest.raises(UsageError, match="fix: known keys: alias, model"):
        check_keys({"x": 1}, ["alias", "model"], "s.toml")
