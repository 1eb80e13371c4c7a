"""PyAV, the bindings of FFmpeg's libraries, imported when a video is first opened."""

from __future__ import annotations

from types import ModuleType

from gristmill.core.errors import UsageError


def pyav() -> ModuleType:
    """Import PyAV.

    Raises:
        UsageError: it isn't installed.
    """
    try:
        import av
    except ModuleNotFoundError as error:
        raise UsageError(
            "reading and writing videos needs the package 'av', which is not installed",
            fix="pip install 'gristmill[video]'",
        ) from error
    return av
