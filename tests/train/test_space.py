from __future__ import annotations

import pytest

from gristmill.core.errors import UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.train.space import Space, integers, log_uniform, uniform


def test_distributions_are_optunas():
    space = Space(
        lr=log_uniform(1e-5, 1e-2),
        drop=uniform(0, 0.5),
        depth=integers(2, 8, step=2),
        width=[256, 512],
        kind="cnn",
    )
    found = space.distributions()
    assert (found["lr"].low, found["lr"].high, found["lr"].log) == (1e-5, 1e-2, True)
    assert not found["drop"].log
    assert (found["depth"].low, found["depth"].high, found["depth"].step) == (2, 8, 2)
    assert found["width"].choices == (0, 1)
    assert found["kind"].choices == (0,)


def test_choices_may_be_anything():
    space = Space(widths=[[1, 2], [3]], lr=uniform(0, 1))
    assert space.values({"widths": 1, "lr": 0.5}) == {"widths": (3,), "lr": 0.5}


def test_shows_itself():
    space = Space(lr=log_uniform(1e-5, 0.01), n=integers(1, 9), w=[1, 2], kind="cnn")
    assert repr(space) == (
        "Space(lr=log_uniform(1e-05, 0.01), n=integers(1, 9), w=[1, 2], kind='cnn')"
    )


def test_fingerprint_tells_spaces_apart():
    assert fingerprint(Space(a=[1, 2])) == fingerprint(Space(a=(1, 2)))
    assert fingerprint(Space(a=uniform(1, 2))) != fingerprint(Space(a=log_uniform(1, 2)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: uniform(2, 1), "expected low <= high, both finite, found 2 and 1"),
        (lambda: uniform(0, float("inf")), "expected low <= high, both finite, found 0 and inf"),
        (lambda: log_uniform(0, 1), "orders of magnitude need numbers above 0, found 0"),
        (lambda: integers(1, 5, step=0), r"expected a step of 1 or more \(1 with log\), found 0"),
        (lambda: Space(a=[]), "'a' has no values to choose from"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        make()
