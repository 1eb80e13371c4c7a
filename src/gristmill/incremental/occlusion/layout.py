"""Where the patches of a value lie among rows of channels, one row for each pixel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gristmill.incremental.graph.operator import Shape, extent
from gristmill.incremental.kernels.tile_grid import SIDE
from gristmill.incremental.regions.rectangle import Rectangle

Numbers = NDArray[np.int64]


class Places(NamedTuple):
    """Rectangles, one for each position; those of no pixels are empty.

    Args:
        tops: int64[positions]; with `lefts`, may be outside the map where it is padding that is
            read.
        lefts: int64[positions].
        heights: int64[positions].
        widths: int64[positions].
    """

    tops: Numbers
    lefts: Numbers
    heights: Numbers
    widths: Numbers

    @classmethod
    def whole(cls, shape: Shape, count: int) -> Places:
        """All of a value, for each of `count` positions."""
        height, width = extent(shape)
        origin = np.zeros(count, np.int64)
        return cls(origin, origin, origin + height, origin + width)

    @classmethod
    def of_rectangles(cls, rectangles: Iterable[Rectangle]) -> Places:
        """These rectangles; at least one."""
        sides = [(each.top, each.left, each.height, each.width) for each in rectangles]
        return cls(*np.array(sides, np.int64).T)

    @property
    def areas(self) -> Numbers:
        """Pixels of each, int64[positions]."""
        return self.heights * self.widths

    def of(self, which: Numbers) -> Places:
        """Those of some positions."""
        return Places(*(each[which] for each in self))

    def where(self, condition: NDArray[np.bool_], others: Places) -> Places:
        """These where a condition, bool[positions], holds; elsewhere the others."""
        return Places(*(np.where(condition, *each) for each in zip(self, others, strict=True)))

    def as_largest(self, shape: Shape) -> Places:
        """Rectangles all as large as the largest, moved inside a map of that shape."""
        height, width = extent(shape)
        down, across = int(self.heights.max()), int(self.widths.max())
        sizes = np.full_like(self.heights, down), np.full_like(self.widths, across)
        return Places(
            np.minimum(self.tops, height - down), np.minimum(self.lefts, width - across), *sizes
        )

    def rectangles(self) -> Iterator[Rectangle]:
        """Each of them."""
        for top, left, height, width in np.stack(self, 1).tolist():
            yield Rectangle(top, left, top + height, left + width)

    def pixels(self) -> tuple[Numbers, Numbers, Numbers]:
        """Position (counted here), row and column of every pixel, rectangle by rectangle."""
        return _inside(self.tops, self.lefts, self.heights, self.widths, 1)

    def tiles(self) -> tuple[Numbers, Numbers, Numbers]:
        """Position (counted here), row and column of the first pixel of every tile."""
        down, across = (-(-each // SIDE) for each in (self.heights, self.widths))
        return _inside(self.tops, self.lefts, down, across, SIDE)


class Layout(NamedTuple):
    """Patches, and the numbers of their pixels' rows.

    Args:
        places: of the patches.
        offsets: int64[positions], number of each patch's first row.
        tiled: whether rows are in the order of tiles of SIDE x SIDE pixels, some of which may lie
            beyond the patch, and not in that of the patch's rows.
    """

    places: Places
    offsets: Numbers
    tiled: bool = False

    @classmethod
    def consecutive(cls, parts: Iterable[tuple[Numbers, Places]], count: int) -> Layout:
        """Patches of groups of positions, group by group.

        Args:
            parts: positions of each group, and their places.
            count: of all positions; those of no group have no pixels.
        """
        found = Places(*(np.zeros(count, np.int64) for _ in Places._fields))
        offsets, begin = np.zeros(count, np.int64), 0
        for which, places in parts:
            for field, given in zip(found, places, strict=True):
                field[which] = given
            areas = places.areas
            offsets[which] = begin + np.cumsum(areas) - areas
            begin += int(areas.sum())
        return cls(found, offsets)

    @classmethod
    def in_tiles(cls, places: Places) -> Layout:
        """Patches tile by tile."""
        counts = tiles(places)
        return cls(places, SIDE**2 * (np.cumsum(counts) - counts), tiled=True)

    @property
    def spans(self) -> Numbers:
        """First row of each patch and the one after the last, int64[positions, 2]; not of tiles."""
        return np.stack([self.offsets, self.offsets + self.places.areas], 1)

    @property
    def order(self) -> Numbers:
        """Positions that have a patch in the order of these, int64[positions]."""
        filled = np.flatnonzero(self.places.areas)
        return filled[self.offsets[filled].argsort()]

    def origins(self, columns: int) -> Numbers:
        """Number of the map's pixel that each row is for, int64[rows]; not of tiles.

        Args:
            columns: of the map.
        """
        _, down, across = self.places.of(self.order).pixels()
        return down * columns + across

    def same(self, other: Layout) -> bool:
        """Whether all pixels have the same rows."""
        mine, others = (*self.places, self.offsets), (*other.places, other.offsets)
        return self.tiled == other.tiled and all(map(np.array_equal, mine, others))

    def block(self, which: Numbers, places: Places) -> slice | None:
        """Rows that hold rectangles one after the other, and nothing else; None if none do."""
        if self.tiled or not all(map(np.array_equal, self.places.of(which), places)):
            return None
        areas, offsets = places.areas, self.offsets[which]
        if not np.array_equal(offsets, offsets[0] + np.cumsum(areas) - areas):
            return None
        return slice(int(offsets[0]), int(offsets[0] + areas.sum()))

    def numbers(self, which: Numbers, rows: Numbers, columns: Numbers) -> Numbers:
        """Numbers of pixels' rows, -1 of those that are not in the position's patch.

        Args:
            which: positions; with the others, of shapes that go together.
            rows: of the map.
            columns: of the map.
        """
        tops, lefts, heights, widths = self.places.of(which)
        down, across = rows - tops, columns - lefts
        if self.tiled:
            tile = down // SIDE * -(-widths // SIDE) + across // SIDE
            found = tile * SIDE**2 + down % SIDE * SIDE + across % SIDE
        else:
            found = down * widths + across
        inside = (down >= 0) & (down < heights) & (across >= 0) & (across < widths)
        return np.where(inside, self.offsets[which] + found, -1)


def tiles(places: Places) -> Numbers:
    """How many tiles cover each rectangle, int64[positions]."""
    return -(-places.heights // SIDE) * -(-places.widths // SIDE)


def _inside(
    tops: Numbers, lefts: Numbers, down: Numbers, across: Numbers, step: int
) -> tuple[Numbers, Numbers, Numbers]:
    areas = down * across
    which = np.repeat(np.arange(len(tops)), areas)
    number = np.arange(len(which)) - np.repeat(np.cumsum(areas) - areas, areas)
    rows, columns = np.divmod(number, across[which])
    return which, tops[which] + step * rows, lefts[which] + step * columns
