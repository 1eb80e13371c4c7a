"""Arguments that name a file or folder on this machine, or a URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class Place(click.Path):
    """A path, which becomes a `Path`; or a URL, which stays text.

    Args:
        dir_okay: whether the path may be that of a folder.
    """

    def __init__(self, *, dir_okay: bool = True) -> None:
        super().__init__(path_type=Path, dir_okay=dir_okay)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType`."""
        if isinstance(value, str) and "://" in value:
            return value
        return super().convert(value, param, ctx)
