"""Whether a model's weights fit in memory, as answering online needs them to."""

from __future__ import annotations

from gristmill.core.errors import ServeError
from gristmill.core.memory import free_memory
from gristmill.core.quantities import format_bytes
from gristmill.store.bundle import WEIGHTS, Bundle


def check_fits(bundle: Bundle) -> None:
    """Refuse a model that is larger than the memory that is free.

    Raises:
        ServeError: it is; says by how much, and what answers with it.
    """
    size, free = bundle.manifest.files[WEIGHTS].bytes_, free_memory()
    if free is not None and size > free:
        raise ServeError(
            f"the model is larger than memory: its weights take {format_bytes(size)}, and "
            f"{format_bytes(free)} are free; a request would wait for all of them to be read",
            where=f"model {bundle.name!r}",
            fix="answer tables with it by `gristmill predict`, which reads the weights piece by "
            "piece, or serve it where there is more memory",
        )
