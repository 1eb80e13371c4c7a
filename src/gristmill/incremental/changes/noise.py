"""What counts as a change, and what as the noise that cameras and codecs make.

Decoded video is never still: from frame to frame a quarter to nine tenths of all tiles differ in
some bit. A change of the scene differs from that in that neighbouring pixels move together, so the
rule looks at blurred differences.
"""

from __future__ import annotations

from dataclasses import dataclass

from gristmill.core.errors import UsageError

_BLURS = (1, 3, 5, 9)  # one more than a power of two: sums of so many take the fewest additions


@dataclass(frozen=True, slots=True)
class Noise:
    """The rule: a tile has changed if enough of its pixels differ strongly after a blur.

    A pixel differs strongly if in any of its three channels the mean difference over the square of
    side `blur` around it is more than `threshold`, up or down. Beyond the frame's border, its
    pixels are repeated.

    Attributes:
        threshold: the largest mean difference that is still noise, in grey levels of 0 to 255.
        pixels: how many pixels of a tile must differ strongly.
        blur: side of the square: 1 (single pixels), 3, 5 or 9.

    Raises:
        UsageError: one of them is out of bounds.
    """

    threshold: int = 20
    pixels: int = 4
    blur: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 254:
            raise UsageError(
                f"the threshold of noise is 0 to 254 grey levels, not {self.threshold}",
                fix="20 suits decoded video; 0 with pixels=1 and blur=1 marks any difference",
            )
        if self.pixels < 1:
            raise UsageError(f"a change takes at least 1 pixel, not {self.pixels}")
        if self.blur not in _BLURS:
            raise UsageError(f"the blur is 1, 3, 5 or 9 pixels wide, not {self.blur}")

    @property
    def margin(self) -> int:
        """How many pixels beyond a tile the rule looks."""
        return self.blur // 2

    @property
    def limit(self) -> int:
        """The largest sum over the square of differences, each `threshold` up, that is noise.

        The smallest one is 0, so that unsigned numbers take one comparison for both directions.
        """
        return 2 * self.threshold * self.blur * self.blur


DECODED = Noise()
"""For decoded video: 4 pixels of a tile differ by more than 20 grey levels over 5 x 5 pixels."""

NONE = Noise(threshold=0, pixels=1, blur=1)
"""No noise: a tile has changed if any bit of it has."""
