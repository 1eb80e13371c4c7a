from __future__ import annotations

import subprocess
import sys

import av
import pytest

from gristmill.core.errors import UsageError
from gristmill.incremental.video.library import pyav


def test_it_is_pyav():
    assert pyav() is av


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError) as caught:
        pyav()
    assert str(caught.value) == (
        "reading and writing videos needs the package 'av', which is not installed\n"
        "  fix: pip install 'gristmill[video]'"
    )


def test_it_is_not_imported_before_a_video_is_opened():
    code = (
        "import sys\n"
        "from gristmill.incremental.video import containers, images, overlay, reader, source, "
        "writer\n"
        "assert 'av' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
