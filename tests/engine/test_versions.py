from __future__ import annotations

import pickle
import platform
import warnings
from dataclasses import replace

import polars as pl
import pytest

from gristmill.core.errors import UsageError
from gristmill.engine import Versions
from gristmill.engine.versions import check_workers, differences

HERE = Versions("3.12", "1.0", {"polars": "2.1.0", "torch": "2.9"})


def test_what_is_here():
    here = Versions.here()
    assert platform.python_version().startswith(f"{here.python}.")
    assert here.packages["polars"] == pl.__version__
    assert "unknown" not in here.packages.values()
    assert pickle.loads(pickle.dumps(here)) == here


def test_differences():
    assert differences(HERE, HERE) == differences(HERE, replace(HERE, packages=dict(HERE.packages)))
    found = differences(HERE, Versions("3.11", "1.1", {"polars": "2.0.0", "pyarrow": "20"}))
    assert found.breaking == (
        "Python 3.11 where the driver has 3.12",
        "gristmill 1.1 where the driver has 1.0",
        "polars 2.0.0 where the driver has 2.1.0",
    )
    assert found.others == ("torch is not installed where the driver has 2.9",)


def test_workers_that_are_alike():
    here = Versions.here()
    with warnings.catch_warnings(action="error"):
        check_workers("ray", {"a": here, "b": here}, "fix")


def test_workers_that_cannot_work_are_refused_by_name():
    other = replace(Versions.here(), gristmill="0.1")
    with pytest.raises(UsageError) as error:
        check_workers("ray", {"a": other, "b": Versions.here(), "c": other}, "install the same")
    assert str(error.value).startswith(
        "engine ray: the driver and the workers do not fit together: a, c: gristmill 0.1 where "
    )
    assert error.value.fix == "install the same"


def test_what_may_change_results_is_warned_of():
    other = replace(Versions.here(), packages={**Versions.here().packages, "numpy": "0.1"})
    with pytest.warns(UserWarning, match=r"engine ray: a: numpy 0\.1 where .* results may differ"):
        check_workers("ray", {"a": other}, "fix")


def test_another_polars_would_change_results_unseen():
    """Hashes of keys and fingerprints of votes are compared across processes."""
    other = replace(Versions.here(), packages={**Versions.here().packages, "polars": "0.1"})
    with pytest.raises(UsageError, match=r"a: polars 0\.1 where the driver has"):
        check_workers("ray", {"a": other}, "fix")
