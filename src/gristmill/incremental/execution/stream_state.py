"""What one stream keeps between frames."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from gristmill.core.errors import UsageError


class StreamState:
    """The reference frame of a stream and the values computed from it.

    After every step each kept value is what the whole run on `reference` gives. Nothing is ever
    added up, so nothing drifts.

    Args:
        nodes: how many the graph has.

    Attributes:
        values: by node number, [1, channels, height, width] or [1, features] float32; None where a
            value is not kept. The last entry is the reference frame.
        current: whether the values belong to the reference. False before the first frame, after
            one that was passed over, and after a step that did not finish: the next one must be a
            whole one.
    """

    def __init__(self, nodes: int) -> None:
        self.values: list[Tensor | None] = [None] * (nodes + 1)
        self.current = False
        self._outputs: tuple[Tensor, ...] = ()

    @property
    def reference(self) -> Tensor | None:
        """The frame [1, channels, height, width] that all values belong to; None before any."""
        return self.values[-1]

    @property
    def bytes_(self) -> int:
        """Bytes of the reference and of all kept values."""
        return sum(v.numel() * v.element_size() for v in self.values if v is not None)

    def begin(self) -> None:
        """Say that values are about to be written: until `current` is set, they belong nowhere."""
        self.current = False
        self._outputs = ()

    def pass_over(self, frame: Tensor, numbers: Sequence[int], outputs: tuple[Tensor, ...]) -> None:
        """Take a frame as the reference, and its outputs; other values no longer belong to it.

        Args:
            frame: [1, channels, height, width] float32 in channels-last memory; kept as it is.
            numbers: of the nodes whose values the network returns.
            outputs: these values for the frame; kept in the place of those before.
        """
        self.current = False
        self.values[-1] = frame
        for number, value in zip(numbers, outputs, strict=True):
            self.values[number] = value
        self._outputs = outputs

    def outputs(self, numbers: Sequence[int]) -> tuple[Tensor, ...]:
        """The values of these nodes, without a copy: the next step may write into them.

        After `pass_over`, the outputs that were handed in.

        Raises:
            UsageError: there is none, because no frame was seen or the last step did not finish.
        """
        if not self._outputs:
            found = tuple(v for v in (self.values[n] for n in numbers) if v is not None)
            if not self.current or len(found) < len(numbers):
                raise UsageError(
                    "expected a stream that has seen a frame, found one without values",
                    fix="compute a whole frame first",
                )
            self._outputs = found  # still frames ask again
        return self._outputs

    def forget(self) -> None:
        """Drop all values and their memory."""
        self.values = [None] * len(self.values)
        self.begin()
