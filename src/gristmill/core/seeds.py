"""Seeds derived from names, so that no draw depends on the order in which things run."""

from __future__ import annotations

import hashlib

_SEED_BITS = 63


def derive_seed(seed: int, *keys: int | str) -> int:
    """Return a seed for one purpose, from the user's seed and the names of that purpose.

    Draws keyed this way are independent of execution order, of worker counts and of the global
    state of any random module. The result lies in [0, 2**63).
    """
    text = "\x1f".join([repr(seed), *(f"{type(key).__name__}:{key}" for key in keys)])
    word = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return word >> (64 - _SEED_BITS)
