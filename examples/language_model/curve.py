"""A loss curve in letters."""

from __future__ import annotations

from collections.abc import Mapping

LINES, WIDTH = 12, 40


def curve(losses: Mapping[int, float]) -> str:
    """Return a curve of losses by step: in each line the mean of some steps, and a bar.

    Bars begin at 0, so half the bar is half the loss.
    """
    steps = sorted(losses)
    if not steps:
        return "no steps"
    size = -(-len(steps) // LINES)
    parts = [steps[first : first + size] for first in range(0, len(steps), size)]
    means = [sum(losses[step] for step in part) / len(part) for part in parts]
    longest = max(means)
    return "\n".join(
        f"steps {part[0]:>5} to {part[-1]:<5} loss {mean:6.3f} "
        + "#" * round(WIDTH * mean / longest)
        for part, mean in zip(parts, means, strict=True)
    )
