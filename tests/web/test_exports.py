from __future__ import annotations

import pytest

from gristmill import web
from gristmill.web import charts, sections


@pytest.mark.parametrize("room", [web, charts, sections])
def test_every_public_name_is_there(room: object) -> None:
    names = room.__all__  # type: ignore[attr-defined]
    assert names == sorted(names)
    assert all(getattr(room, name) is not None for name in names)
