"""What is written, against a look at every pixel."""

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.incremental.bounded.sieve import let_through
from gristmill.incremental.graph.operator import cut
from gristmill.incremental.regions.rectangle import Rectangle


def drawn(random, channels, height, width):
    generator = torch.Generator().manual_seed(random.randrange(2**31))
    values = torch.randint(-4, 5, (1, height, width, channels), generator=generator)
    # Most places differ little: mostly nothing or a few of them are beyond a threshold.
    rare = torch.rand((1, height, width, 1), generator=generator) < random.random() ** 2
    return (values * rare).float().permute(0, 3, 1, 2)


@given(seed=st.integers(0, 2**32), threshold=st.sampled_from([0.0, 1.0, 2.5, 4.0]))
@settings(max_examples=120, deadline=None)
def test_what_is_left_is_within_the_threshold_and_what_is_written_is_told(seed, threshold):
    random = Random(seed)
    channels, height, width = random.randint(1, 5), random.randint(1, 40), random.randint(1, 40)
    top, left = random.randrange(height), random.randrange(width)
    place = Rectangle(top, left, random.randint(top + 1, height), random.randint(left + 1, width))
    before = drawn(random, channels, height, width)
    kept = before.clone(memory_format=torch.preserve_format)
    found = cut(before, place) + drawn(random, channels, place.height, place.width)
    written = let_through(found, kept, (place,), threshold, (place.top, place.left))
    expected = before.clone()
    covered = torch.zeros(height, width)
    for rectangle in written:
        assert not rectangle.empty
        assert place.contains(rectangle)
        inside = Rectangle(
            rectangle.top - top,
            rectangle.left - left,
            rectangle.bottom - top,
            rectangle.right - left,
        )
        cut(expected, rectangle).copy_(cut(found, inside))
        covered[rectangle.top : rectangle.bottom, rectangle.left : rectangle.right] += 1
    assert torch.equal(kept, expected)
    assert covered.max() <= 1
    assert ((cut(kept, place) - found).abs() <= threshold).all()
    if ((cut(before, place) - found).abs() <= threshold).all():
        assert written == []


def test_what_is_no_number_does_not_wait():
    kept = torch.zeros(1, 2, 16, 16)
    found = kept.clone()
    found[0, 1, 9, 3] = torch.nan
    assert let_through(found, kept, [Rectangle(0, 0, 16, 16)], 1e9) == [Rectangle(9, 3, 10, 4)]
    assert kept.isnan().sum() == 1
    # And once readers have seen it, a number does not, either.
    found[0, 1, 9, 3] = 0.0
    assert let_through(found, kept, [Rectangle(0, 0, 16, 16)], 1e9) == [Rectangle(9, 3, 10, 4)]
    assert not kept.isnan().any()


@pytest.mark.parametrize(
    ("beyond", "written"),
    [
        ([(1, 1), (2, 2)], [(4, 4, 8, 8), (8, 8, 12, 12)]),
        ([(1, 1), (1, 2), (2, 2)], [(4, 4, 12, 12)]),
    ],
    ids=["far apart", "nearly all of a box"],
)
def test_blocks_become_one_rectangle_where_that_adds_few(beyond, written):
    kept = torch.zeros(1, 1, 64, 64)
    found = kept.clone()
    for row, column in beyond:
        found[0, 0, 4 * row + 3, 4 * column + 2] = 1.0
    assert let_through(found, kept, [Rectangle(0, 0, 64, 64)], 0.5) == [
        Rectangle(*each) for each in written
    ]
