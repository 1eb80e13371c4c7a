"""One check for every operator: its region, its reach and its needs against the whole output."""

from __future__ import annotations

from random import Random

import pytest
import torch

from gristmill.incremental.graph.operator import cut, extent
from gristmill.incremental.regions.rectangle import Rectangle


class Checks:
    """Compares what an operator says and computes of regions with whole runs."""

    def values(self, shapes, seed):
        generator = torch.Generator().manual_seed(seed)
        found = []
        for channels, *size in shapes:
            if not size:
                found.append(torch.randn((1, channels), generator=generator))
                continue
            pixels = torch.randn((1, *size, channels), generator=generator)
            found.append(pixels.permute(0, 3, 1, 2))
        return found

    def rectangle(self, shape, random):
        height, width = extent(shape)
        top, bottom = sorted(random.sample(range(height + 1), 2))
        left, right = sorted(random.sample(range(width + 1), 2))
        return Rectangle(top, left, bottom, right)

    def __call__(self, operator, shapes, seed, tight=False):
        """Check one operator on random maps.

        Args:
            operator: what to check.
            shapes: of its inputs.
            seed: of the maps, the region and the change.
            tight: whether `reached` may say no pixel too many.
        """
        random = Random(seed)
        with torch.inference_mode():
            values = self.values(shapes, seed)
            kept = [each.clone() for each in values]
            whole = operator.run(*values)
            assert tuple(whole.shape[1:]) == operator.shape(*shapes)
            assert whole.dim() != 4 or whole.is_contiguous(memory_format=torch.channels_last)
            self.check_region(operator, shapes, values, whole, random)
            self.check_reach(operator, shapes, values, whole, random, tight)
            assert all(map(torch.equal, values, kept)), "an input was changed"

    def check_region(self, operator, shapes, values, whole, random):
        region = self.rectangle(operator.shape(*shapes), random)
        needed = operator.needed(region, shapes)
        masked = [
            self.only(each, part) if operator.local else each
            for each, part in zip(values, needed, strict=True)
        ]
        found, expected = operator.run_region(region, *masked), cut(whole, region)
        assert found.shape == expected.shape
        shared = {each.untyped_storage().data_ptr() for each in masked}
        assert found.untyped_storage().data_ptr() not in shared
        if operator.exact:
            assert torch.equal(found, expected)
        else:
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)

    def only(self, values, part):
        """Numbers where they are needed, none elsewhere."""
        found = torch.full_like(values, torch.nan)
        cut(found, part).copy_(cut(values, part))
        return found

    def check_reach(self, operator, shapes, values, whole, random, tight):
        which = random.randrange(len(shapes))
        changed = self.rectangle(shapes[which], random)
        if tight:
            top, left, *_ = changed
            changed = Rectangle(top, left, top + 1, left + 1)
        other = [each.clone() for each in values]
        cut(other[which], changed).add_(1000.0)
        differs = (operator.run(*other) != whole).flatten(0, 1).any(0)
        reached = operator.reached(changed, which, shapes)
        assert reached == reached.clipped(*extent(operator.shape(*shapes)))
        if differs.dim() == 0:
            assert not differs or reached == (0, 0, 1, 1)
            return
        rows, columns = differs.any(1).nonzero().flatten(), differs.any(0).nonzero().flatten()
        if len(rows):
            box = Rectangle(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
            assert reached.contains(box)
            assert not tight or reached == box
        else:
            assert not tight or reached.empty


@pytest.fixture(scope="session")
def check():
    return Checks()
