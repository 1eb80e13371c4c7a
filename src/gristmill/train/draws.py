"""Random draws keyed by what they are for, and the torch settings that bits depend on.

Nothing here reads or moves the global random state: it is forked around each block, seeded for each
draw, and put back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _get_current_dispatch_mode,
    _pop_mode,
    _push_mode,
)

from gristmill.core.seeds import derive_seed

T = TypeVar("T")
_SEEDED = torch.Tag.nondeterministic_seeded
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

    Watching for draws costs a few microseconds for each operation; whoever knows which operations
    draw asks `KeyedDraws.active()` for the block that it is in, and pauses it around the others.

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
        self._before: tuple[Tensor, Tensor | None] | None = None

    @staticmethod
    def active() -> KeyedDraws | None:
        """Return the innermost block of this kind; None if another mode is within it, or none is.

        The other mode sees what the block does not, so it must not be stepped around.
        """
        mode = _get_current_dispatch_mode()
        return mode if isinstance(mode, KeyedDraws) else None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Run the block without looking for draws, for operations that are known to make none."""
        _pop_mode()
        try:
            yield
        finally:
            _push_mode(self)

    @contextmanager
    def resumed(self) -> Iterator[None]:
        """Look for draws again, within `paused`."""
        _push_mode(self)
        try:
            yield
        finally:
            _pop_mode()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        if self._before is not None:
            cpu, gpu = self._before
            self._before = None
            torch.default_generator.set_state(cpu)
            if gpu is not None:
                torch.cuda.set_rng_state(gpu, self._gpu)  # type: ignore[arg-type]

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Seed before a draw; leave every other operation alone."""
        if _SEEDED in func.tags:
            self.seed_next()
        return func(*args, **(kwargs or {}))

    def seed_next(self) -> None:
        """Seed torch's generators for the next draw: enough for what draws exactly once."""
        # The generators are put back at the end; without draws there is nothing to put back.
        if self._before is None:
            gpu = torch.cuda.get_rng_state(self._gpu) if self._gpu else None
            self._before = torch.default_generator.get_state(), gpu
        word = derive_seed(self._seed, *self._keys, self.count)
        self.count += 1
        # `torch.manual_seed` would seed every device, and not all of them would be put back.
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
    what a training run is. On the CPU all kernels in use are deterministic; for a GPU see
    `exact_kernels`.
    """
    threads_before = torch.get_num_threads()
    mode_before = torch.get_deterministic_debug_mode()
    settings = () if torch.device(device).type == "cpu" else _GPU_SETTINGS
    gpu_before = [getattr(place, name) for place, name, _ in settings]
    torch.set_num_threads(threads)
    if settings:
        exact_kernels()
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.set_deterministic_debug_mode(mode_before)
        for (place, name, _), before in zip(settings, gpu_before, strict=True):
            setattr(place, name, before)


_GPU_SETTINGS: tuple[tuple[Any, str, bool], ...] = (
    (torch.backends.cuda.matmul, "allow_tf32", False),
    (torch.backends.cudnn, "allow_tf32", False),
    (torch.backends.cudnn, "benchmark", False),
    (torch.backends.cudnn, "deterministic", True),
    (torch.utils.deterministic, "fill_uninitialized_memory", False),
)


def exact_kernels() -> None:
    """Have this process compute the same bits on a GPU each time.

    Torch is asked for deterministic kernels, and warns where it has none; cuBLAS for a workspace of
    one size; products of float32 are of float32 (no TF32); cuDNN does not choose by trial.
    """
    # Read when cuBLAS is first used; without it, torch's deterministic mode only warns.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    for place, name, value in _GPU_SETTINGS:
        setattr(place, name, value)
