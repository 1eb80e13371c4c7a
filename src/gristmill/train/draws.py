"""Random draws keyed by what they are for, and the torch settings that bits depend on.

Nothing here reads or moves the global random state: it is forked around each block, seeded for each
draw, and put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gristmill.core.seeds import derive_seed

T = TypeVar("T")
WEIGHTS = "weights"
"""Key of the draws that make a module's first weights."""
DRAWS = "draws"
"""Key of the draws of training, followed by the step (from 0) and the micro-batch within it."""


class KeyedDraws(TorchDispatchMode):
    """Within the block, random operation number k draws from a generator seeded by (seed, keys, k).

    A draw is any operation that torch tags `nondeterministic_seeded`, on the CPU or on `device`.
    Since each has a number instead of a place in one long stream, a model can be run in parts, in
    any order and on any device, and draw what it would draw as a whole. Draws on the meta device
    count, but draw nothing.

    Args:
        seed: the user's seed.
        keys: what the draws are for, as (step, micro-batch).
        first: number of the first draw.
        device: `cpu` or a CUDA device.

    Attributes:
        count: number of the next draw.
    """

    def __init__(
        self, seed: int, *keys: int | str, first: int = 0, device: str | torch.device = "cpu"
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = first
        self._seed, self._keys = seed, keys
        self._gpu = torch.device(device) if torch.device(device).type == "cuda" else None
        self._forked = ExitStack()

    def __enter__(self) -> Self:
        devices = [self._gpu] if self._gpu else []
        self._forked.enter_context(torch.random.fork_rng(devices=devices))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        self._forked.close()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Seed before a draw; leave every other operation alone."""
        if torch.Tag.nondeterministic_seeded in func.tags:
            self._reseed()
        return func(*args, **(kwargs or {}))

    def _reseed(self) -> None:
        word = derive_seed(self._seed, *self._keys, self.count)
        self.count += 1
        # `torch.manual_seed` would seed every device, and `fork_rng` would not bring them back.
        torch.default_generator.manual_seed(word)
        if self._gpu:
            with torch.cuda.device(self._gpu):
                torch.cuda.manual_seed(word)


def seeded(factory: Callable[[], T], seed: int) -> T:
    """Call `factory` (which builds a module) so that its random weights depend on `seed` alone.

    Each draw is keyed by its number, so that weights can also be made one by one.
    """
    with KeyedDraws(seed, WEIGHTS):
        return factory()


@contextmanager
def steady(threads: int, device: str = "cpu") -> Iterator[None]:
    """Run the block on `threads` intra-op threads with deterministic kernels; restore both after.

    A sum split over another number of threads rounds differently, so the thread count is part of
    what a training run is. On the CPU all kernels in use are deterministic; elsewhere torch is
    asked for deterministic ones and warns where it has none.
    """
    threads_before = torch.get_num_threads()
    mode_before = torch.get_deterministic_debug_mode()
    torch.set_num_threads(threads)
    if torch.device(device).type != "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.set_deterministic_debug_mode(mode_before)
