from gristmill.serve.scheduling.overload import Overload
from gristmill.serve.scheduling.request import Request

INF = float("inf")


def due(deadline, priority=0):
    return Request(1, 1.0, deadline, priority)


def test_an_overload_lasts_as_long_as_who_was_refused_would_have_waited_or_a_second():
    overload = Overload()
    assert overload.until == -INF
    overload.refused(due(10.3), 10.0)
    assert overload.until == 10.3
    overload.refused(due(99.0), 10.1)
    assert overload.until == 11.1
    overload.refused(due(10.5), 10.2)
    assert overload.until == 11.1


def test_it_reaches_those_who_matter_as_little_as_anybody_refused():
    overload = Overload()
    for priority, reach in ((2, 2), (5, 2), (-1, -1)):
        overload.refused(due(10.5, priority), 10.0)
        assert overload.reach == reach
    overload.refused(due(12.0, 3), 10.5)
    assert overload.reach == 3


def test_the_least_time_of_those_who_matter_more_is_known_for_a_second():
    overload = Overload()
    assert overload.given(5, 10.0) == INF
    overload.came(due(10.5, 1), 10.0)
    overload.came(due(10.9, 1), 10.1)
    overload.came(due(10.3, 2), 10.2)
    assert (overload.given(1, 10.3), overload.given(2, 10.3)) == (INF, 0.5)
    assert round(overload.given(3, 10.3), 9) == 0.1
    assert overload.given(2, 11.0) == INF
    overload.came(due(11.9, 1), 11.0)
    assert round(overload.given(2, 11.1), 9) == 0.9
