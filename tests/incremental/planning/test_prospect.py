"""Which frames are planned at all."""

from gristmill.incremental.planning.prospect import Prospect
from gristmill.incremental.regions.rectangle import Rectangle
from gristmill.incremental.regions.region_set import NOWHERE, RegionSet

LITTLE = RegionSet((Rectangle(0, 0, 10, 10),))
MUCH = RegionSet((Rectangle(0, 0, 200, 200),))
MORE = RegionSet((Rectangle(0, 0, 300, 300),))


def test_all_is_worth_planning_until_something_was_not():
    prospect = Prospect()
    assert prospect.worth_planning(MORE)
    prospect.learn(MUCH, paid=False)
    assert not prospect.worth_planning(MUCH)
    assert not prospect.worth_planning(MORE)
    assert prospect.worth_planning(LITTLE)
    assert prospect.worth_planning(NOWHERE)


def test_every_32nd_is_planned_all_the_same_and_if_it_pays_all_are_again():
    prospect = Prospect()
    prospect.learn(MUCH, paid=False)
    assert [prospect.worth_planning(MORE) for _ in range(64)].count(True) == 2
    prospect.learn(MORE, paid=True)
    assert prospect.worth_planning(MUCH)


def test_a_small_change_that_pays_says_nothing_of_large_ones():
    prospect = Prospect()
    prospect.learn(MUCH, paid=False)
    prospect.learn(LITTLE, paid=True)
    assert not prospect.worth_planning(MORE)


def test_many_small_places_are_more_than_one_of_their_area():
    prospect = Prospect()
    scattered = RegionSet(tuple(Rectangle(0, 100 * n, 16, 100 * n + 16) for n in range(20)))
    prospect.learn(scattered, paid=False)
    assert prospect.worth_planning(RegionSet((Rectangle(0, 0, 16, 16 * 20),)))
