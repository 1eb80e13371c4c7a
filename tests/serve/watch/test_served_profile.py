import pytest

from gristmill.core.errors import UsageError
from gristmill.serve.watch.instance import Instance
from gristmill.serve.watch.served_profile import ServedProfile
from gristmill.serve.watch.served_rows import Sampled


def sampled(*values, served=None):
    return Sampled({"x": list(values)}, len(values), served or len(values))


def test_samples_add_up_by_hour(statistician, hours, tmp_path):
    profile = ServedProfile(statistician, tmp_path, clock=hours)
    profile.add(sampled("a", "b", served=50))
    profile.add(sampled("a"))
    hours.pass_(1)
    profile.add(sampled("c"))
    assert profile.hours() == ["2023-11-14T22", "2023-11-14T23"]
    assert profile.recent(1) == {"x=c": 1}
    assert profile.recent(2) == {"x=a": 2, "x=b": 1, "x=c": 1}
    assert (profile.served, profile.profiled) == (52, 4)


def test_what_was_saved_is_there_again(statistician, hours, tmp_path):
    first = ServedProfile(statistician, tmp_path, clock=hours)
    first.add(sampled("a"))
    first.save()
    again = ServedProfile(statistician, tmp_path, clock=hours)
    assert again.recent(1) == {"x=a": 1}
    again.add(sampled("a"))
    assert again.recent(1) == {"x=a": 2}
    again.save()
    again.save()
    assert ServedProfile(statistician, tmp_path, clock=hours).recent(1) == {"x=a": 2}
    assert [path.name for path in tmp_path.rglob("*") if path.name.startswith(".")] == []


def test_several_processes_write_beside_each_other(statistician, hours, tmp_path):
    one, other = (
        ServedProfile(statistician, tmp_path, instance=name, clock=hours) for name in ("s1", "s2")
    )
    one.add(sampled("a"))
    other.add(sampled("b"))
    one.save()
    other.save()
    assert one.recent(1) == other.recent(1) == {"x=a": 1, "x=b": 1}


def test_old_hours_are_removed(statistician, hours, tmp_path):
    profile = ServedProfile(statistician, tmp_path, keep_hours=3, clock=hours)
    for _ in range(6):
        profile.add(sampled("a"))
        profile.save()
        hours.pass_(1)
    assert profile.hours() == ["2023-11-15T01", "2023-11-15T02", "2023-11-15T03"]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_damaged_hour_is_counted_and_left_out(statistician, hours, tmp_path):
    profile = ServedProfile(statistician, tmp_path, clock=hours)
    profile.add(sampled("a"))
    profile.save()
    (tmp_path / "2023-11-14T22" / "server" / "counts.json").write_text("{")
    (tmp_path / "of the user").mkdir()
    again = ServedProfile(statistician, tmp_path, clock=hours)
    assert again.recent(1) is None
    assert again.damaged == 1


def test_the_sum_of_hours_that_are_over_is_made_once(statistician, hours, tmp_path):
    profile = ServedProfile(statistician, tmp_path, clock=hours)
    added = []
    statistician.add = lambda one, two: added.append((one, two)) or one + two
    for _ in range(3):
        profile.add(sampled("a"))
        hours.pass_(1)
    profile.add(sampled("a"))
    assert profile.recent(24) == {"x=a": 4}
    assert len(added) == 3
    assert profile.recent(24) == {"x=a": 4}
    assert len(added) == 4
    profile.add(sampled("b"))
    assert profile.recent(24) == {"x=a": 4, "x=b": 1}
    hours.pass_(1)
    assert profile.recent(2) == {"x=a": 1, "x=b": 1}


def test_a_kept_hour_is_read_once_and_again_when_it_changed(statistician, hours, tmp_path):
    one = ServedProfile(statistician, tmp_path, instance="one", clock=hours)
    other = ServedProfile(statistician, tmp_path, instance="other", clock=hours)
    read = []
    load = statistician.load
    statistician.load = lambda folder: read.append(folder.name) or load(folder)
    one.add(sampled("a"))
    one.save()
    assert other.recent(1) == other.recent(1) == {"x=a": 1}
    assert read == ["one"]
    one.add(sampled("a"))
    one.save()
    assert other.recent(1) == {"x=a": 2}


def test_old_hours_are_let_go_of_in_memory_and_found_in_the_folder(statistician, hours, tmp_path):
    profile = ServedProfile(statistician, tmp_path, clock=hours)
    profile.add(sampled("a"))
    profile.save()
    hours.pass_(30)
    profile.add(sampled("b"))
    profile.save()
    assert list(profile._hours) == [profile.hour()]
    assert profile.recent(24) == {"x=b": 1}
    assert profile.recent(48) == {"x=a": 1, "x=b": 1}


def test_a_taken_name_is_let_go_of_at_the_end(statistician, tmp_path):
    first = ServedProfile(statistician, tmp_path, instance=Instance(tmp_path))
    first.close()
    again = Instance(tmp_path)
    assert again.name == "server"
    again.release()


def test_without_a_folder_it_remembers_alone(statistician, hours):
    profile = ServedProfile(statistician, keep_hours=2, clock=hours)
    assert profile.recent(1) is None
    profile.add(sampled("a"))
    profile.save()
    assert profile.recent(1) == {"x=a": 1}
    hours.pass_(2)
    profile.save()
    assert profile.hours() == []


@pytest.mark.parametrize("instance", ["", "../x", ".hidden", "a/b"])
def test_an_instance_is_a_plain_name(statistician, instance):
    with pytest.raises(UsageError, match="expected a plain name of an instance"):
        ServedProfile(statistician, instance=instance)


def test_no_hour_at_all_is_an_error(statistician):
    with pytest.raises(UsageError, match="expected keep_hours of at least 1, found 0"):
        ServedProfile(statistician, keep_hours=0)
