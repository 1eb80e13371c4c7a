"""The engine of a run: opened when the first step needs to run, closed with the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.core.closing import Closing

if TYPE_CHECKING:
    from gristmill.engine.protocol import Engine


class RunEngine(Closing):
    """The engine that the steps of a run use. A run in which all is up to date opens none.

    Args:
        engine: an open engine, which stays open; a name as `open_engine` takes it; or None for the
            engine that is current anyway, if there is one.
        code: the pipeline's folder, sent to the machines of a cluster.

    Raises:
        UsageError: the name is unknown, or what the engine needs is not installed.
    """

    def __init__(self, engine: Engine | str | None, code: Path | None = None) -> None:
        if isinstance(engine, str):
            from gristmill.engine.opening import check_installed, parse_engine

            check_installed(parse_engine(engine).kind)
        self._named, self._code = engine, code
        self._opened = None if isinstance(engine, str) else engine

    @property
    def name(self) -> str | None:
        """The engine's name, for a process that opens one of its own; None where it has none."""
        return self._named if isinstance(self._named, str) else None

    def open(self) -> None:
        """Open the engine, unless it is.

        Raises:
            UsageError: as `open_engine`.
        """
        if self._opened is None and self._named is not None:
            from gristmill.engine.opening import open_engine

            self._opened = open_engine(self._named, code=self._code)

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Make the open engine the current one within the block."""
        if self._opened is None:
            yield
            return
        from gristmill.engine.current import using_engine

        with using_engine(self._opened):
            yield

    def close(self) -> None:
        """Close the engine if this run has opened it."""
        if self._opened is not None and self._opened is not self._named:
            self._opened.close()
        self._opened = None
