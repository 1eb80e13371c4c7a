from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.train.jobs.interruption import told_how_to_go_on


def test_ctrl_c_says_what_is_safe_and_anything_else_passes():
    with (
        pytest.raises(KeyboardInterrupt, match=r"^40 steps are safe in out/run: run the same"),
        told_how_to_go_on(Path("out/run"), lambda: "40 steps are"),
    ):
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match=r"^no$"), told_how_to_go_on(Path(), lambda: ""):
        raise ValueError("no")
    with told_how_to_go_on(Path(), lambda: ""):
        pass
