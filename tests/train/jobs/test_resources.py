from __future__ import annotations

import pytest

from gristmill.core.errors import UsageError
from gristmill.train.jobs.resources import Resources, own_folder


def test_devices_and_memory_in_words(tmp_path):
    assert str(Resources(tmp_path, "cpu:2", "3MB")) == "2 devices (cpu:0, cpu:1), 3 MB each"
    assert str(Resources(tmp_path, 1, 2_000_000)) == "1 device (cpu:0), 2 MB"


def test_half_of_the_memory_is_shared_where_none_is_given(tmp_path):
    one, two = Resources(tmp_path, 1).memory, Resources(tmp_path, 2).memory
    assert one == pytest.approx(2 * two, abs=2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"policy": "fastest"}, "expected a policy, one of"),
        ({"commit_seconds": -1}, "commit_seconds must be 0 or more, found -1"),
        ({"memory": 0}, "expected a memory budget above 0 bytes, found 0"),
        ({"memory": True}, "expected a budget such as"),
    ],
)
def test_wrong_resources(tmp_path, wrong, message):
    with pytest.raises(UsageError, match=message):
        Resources(tmp_path, **wrong)


def test_each_thing_that_is_trained_has_a_folder_of_its_own():
    assert own_folder(["a", 1]) == own_folder(["a", 1])
    assert own_folder(["a", 1]) != own_folder(["a", 2])
    assert own_folder("a").parent.as_posix() == ".gristmill/train"
