"""What differs enough, written in C as PyTorch and NumPy write it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.incremental.bounded import sieve
from gristmill.incremental.kernels.native import blocks
from gristmill.incremental.kernels.native.library import library
from gristmill.incremental.regions.rectangle import Rectangle

pytestmark = pytest.mark.skipif(library() is None, reason="needs a C compiler")
NUMBERS = torch.tensor([0.0, 0.5, 1.0, -1.0, 1e-3, torch.inf, -torch.inf, torch.nan])


def part(draw, generator, height, width, channels):
    """A rectangle of a larger map, most of whose numbers are 0."""
    above, beside = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    size = (1, height + above, width + beside, channels)
    odd = torch.rand(size, generator=generator) < draw(st.sampled_from([0.0, 0.02, 0.5]))
    drawn = NUMBERS[torch.randint(len(NUMBERS), size, generator=generator)]
    values = torch.where(odd, drawn, 0.0).permute(0, 3, 1, 2)
    return values[:, :, above:, beside:]


def rectangle(draw, height, width):
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    bottom, right = draw(st.integers(top + 1, height)), draw(st.integers(left + 1, width))
    return Rectangle(top, left, bottom, right)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_the_same_places_as_by_pytorch(data):
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    height, width = (data.draw(st.integers(1, 60)) for _ in range(2))
    channels = data.draw(st.integers(1, 19))
    around = rectangle(data.draw, height, width)
    found = part(data.draw, generator, around.height, around.width, channels)
    kept = part(data.draw, generator, height, width, channels)
    assert blocks.fits(found, kept)
    places = [  # they may overlap
        rectangle(data.draw, around.height, around.width).shifted(around.top, around.left)
        for _ in range(data.draw(st.integers(0, 3)))
    ]
    threshold = data.draw(st.sampled_from([0.0, 0.5, 0.9999999, 1.0, 1e-3, 1e30, -1.0]))
    other, origin = kept.clone(), (around.top, around.left)
    written = blocks.let_through(found, kept, places, threshold, origin)
    assert written == sieve.block_by_block(found, other, places, threshold, origin)
    assert torch.equal(kept.nan_to_num(7.0), other.nan_to_num(7.0))


@pytest.mark.parametrize(
    "other",
    [
        torch.zeros(1, 2, 3, 4),
        torch.zeros(1, 3, 4, 2, dtype=torch.float64).permute(0, 3, 1, 2),
        torch.zeros(1, 3, 8, 2).permute(0, 3, 1, 2)[:, :, :, ::2],
    ],
    ids=["channels apart", "float64", "every other pixel"],
)
def test_maps_of_another_layout_do_not_fit(other):
    fitting = torch.zeros(1, 3, 4, 2).permute(0, 3, 1, 2)
    assert blocks.fits(fitting)
    assert not blocks.fits(fitting, other)
