from __future__ import annotations

from pathlib import Path

import click
import pytest

from gristmill.cli.places import Place


def test_urls_stay_text_and_paths_become_paths(tmp_path: Path) -> None:
    place = Place(dir_okay=False)
    assert place.convert("s3://mill/a.csv", None, None) == "s3://mill/a.csv"
    assert place.convert("a.csv", None, None) == Path("a.csv")
    with pytest.raises(click.BadParameter, match="is a directory"):
        place.convert(str(tmp_path), None, None)
