"""A union of rectangles, written with fewer and smaller ones."""

from __future__ import annotations

from collections.abc import Iterable

from gristmill.incremental.regions.rectangle import Rectangle


def simplified(rectangles: Iterable[Rectangle]) -> tuple[Rectangle, ...]:
    """Return rectangles that cover all that the given ones cover.

    Neither their number nor the sum of their areas ever grows:

    - two become their bounding box where it has no more pixels than both together;
    - of two that overlap, one is trimmed where that leaves a rectangle;
    - two that overlap by a corner alone stay: to cut one in two would cost a call more than the
      corner, which is computed twice, is worth.

    Every round of the loop lowers the sum of the areas, or keeps it and lowers the number of
    rectangles left to look at; so it ends.
    """
    waiting = list(rectangles)
    kept: list[Rectangle] = []
    while waiting:
        new = waiting.pop()
        top, left, bottom, right = new
        if top >= bottom or left >= right:
            continue
        area = (bottom - top) * (right - left)
        # Comparisons, not min and max, and no calls: frames are planned in this loop.
        for place, other in enumerate(kept):
            otop, oleft, obottom, oright = other
            if top > obottom or otop > bottom or left > oright or oleft > right:
                continue  # apart, not even touching
            up, down = top if top < otop else otop, bottom if bottom > obottom else obottom
            near, far = left if left < oleft else oleft, right if right > oright else oright
            both = area + (obottom - otop) * (oright - oleft)
            if (down - up) * (far - near) <= both:
                del kept[place]
                waiting.append(Rectangle(up, near, down, far))
                break
            if top < obottom and otop < bottom and left < oright and oleft < right:
                rest = _trimmed(new, other)
                if rest is not None:
                    waiting.append(rest)
                    break
                rest = _trimmed(other, new)
                if rest is not None:
                    del kept[place]
                    waiting += (rest, new)
                    break
        else:
            kept.append(new)
    return tuple(kept)


def _trimmed(cut: Rectangle, by: Rectangle) -> Rectangle | None:
    """What is left of `cut` outside `by`, where that is one rectangle and less than it was."""
    top, left, bottom, right = cut
    by_top, by_left, by_bottom, by_right = by
    if by_left <= left and right <= by_right:
        if by_top <= top:
            return Rectangle(by_bottom, left, bottom, right)
        if bottom <= by_bottom:
            return Rectangle(top, left, by_top, right)
    if by_top <= top and bottom <= by_bottom:
        if by_left <= left:
            return Rectangle(top, by_right, bottom, right)
        if right <= by_right:
            return Rectangle(top, left, bottom, by_left)
    return None
