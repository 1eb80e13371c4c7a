"""The process of `running_server`: a server that knows how to watch what it serves.

`python -m gristmill.cli.server_process LAUNCH` does as `python -m gristmill.serve LAUNCH`, and
compares what is served with what the models were trained on, and answers streams of pictures. It is
of the commands because serving knows nothing of validation's statistics and of incremental
inference; what knows both hands them in here.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gristmill.serve.__main__ import main as serve_main
from gristmill.serve.streams.streaming import streamings
from gristmill.serve.watch.statistician import statisticians

if TYPE_CHECKING:
    from gristmill.serve.streams.streaming import Streaming
    from gristmill.serve.watch.statistician import Statistician
    from gristmill.store.bundle import Bundle

_TELLS = ("schema.toml", "profile/statistics.json")


def bundle_statistician(bundle: Bundle) -> Statistician | None:
    """Return who compares with a bundle's training data; None where it holds nothing of them.

    Raises:
        BundleError: a file was changed since the bundle was opened.
        DataError, UsageError: its statistics or its schema cannot be read.
    """
    if not any(name in bundle.manifest.files for name in _TELLS):
        return None
    # A moment's work, which a server of other bundles need not do.
    from gristmill.pipeline.served_statistics import ServedStatistics

    return ServedStatistics.of(bundle)


def bundle_streaming(bundle: Bundle, memory: int) -> Streaming | None:
    """Return who answers a bundle's streams of pictures; None where it takes something else.

    Raises:
        BundleError: a file was changed since the bundle was opened.
        UsageError: its network can't be captured.
    """
    # Seconds of work, which a server without streams need not do.
    from gristmill.pipeline.served_streams import streams_of

    return streams_of(bundle, memory)


@contextmanager
def handed_in() -> Iterator[None]:
    """Let what is served in this block have what serving itself must not know."""
    with statisticians(bundle_statistician), streamings(bundle_streaming):
        yield


def main(argument: str) -> int:
    """Serve until told to stop; return the exit code."""
    with handed_in():
        return serve_main(argument)


if __name__ == "__main__":
    code = main(sys.argv[1])
    gc.freeze()  # as `gristmill` does: the collector would take seconds over PyTorch's objects
    sys.exit(code)
