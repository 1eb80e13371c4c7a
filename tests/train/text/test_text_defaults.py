from __future__ import annotations

import pytest

from gristmill.core.errors import TrainError
from gristmill.train.model_spec import KINDS, ModelSpec, build_model
from gristmill.train.settings import FitSettings
from gristmill.train.study import FIT_NAMES
from gristmill.train.text.text_defaults import text_featurizer, text_settings, text_space


@pytest.mark.parametrize("kind", KINDS)
def test_settings_space_and_featurizer_fit_the_model(kind):
    FitSettings(**text_settings(kind)).check()
    featurizer = text_featurizer(kind, "body")
    assert featurizer.columns == ("body",)
    space = text_space(kind)
    lowest = space.values(dict.fromkeys(space.dimensions, 0))
    params = {name: value for name, value in lowest.items() if name not in FIT_NAMES}
    build_model(ModelSpec.for_text(kind, featurizer, ["a", "b"], **params))


def test_settings_are_a_copy():
    text_settings("linear")["lr"] = 9.0
    assert text_settings("linear")["lr"] != 9.0


def test_unknown_kind():
    with pytest.raises(TrainError, match=r"^unknown model 'tree'"):
        text_space("tree")
