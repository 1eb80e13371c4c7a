"""What a bundle says of how it was made, and of what is different where it is opened."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from tests.store.test_bundle import Write
from tests.store.test_bundle import write as write

from gristmill.core.errors import BundleError
from gristmill.store import bundle_environment
from gristmill.store.bundle import MANIFEST, Bundle
from gristmill.store.recipe import RECIPE, Recipe, following, recipe_from_json

MADE = Recipe("pipeline.py", "bundle", "k1", "gristmill run pipeline.py", {"seed": "0"}, {"x": "d"})


def test_a_bundle_written_in_a_step_holds_the_steps_recipe(write: Write) -> None:
    assert write("alone").recipe() is None
    with following(lambda: MADE):
        one, two = write("one"), write("two")
    assert one.recipe() == MADE
    assert one.fingerprint == two.fingerprint
    assert write("after").recipe() is None


def test_what_is_no_recipe_is_refused() -> None:
    with pytest.raises(BundleError, match="not a recipe"):
        recipe_from_json(b'{"step": 3}')


def test_other_versions_are_told_in_words(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = write()
    assert bundle.differences_here() == []
    here = bundle_environment.environment_here()
    other = {**here, "numpy": "0.1", "python": "2.7", "platform": "Plan9 mips"}
    monkeypatch.setattr(bundle_environment, "environment_here", lambda: other)
    assert bundle.differences_here() == [
        f"made with numpy {here['numpy']}, here is numpy 0.1: "
        "features may differ in their last digits",
        f"made with {here['platform']}, here is Plan9 mips: "
        "answers may differ in their last digits",
    ]


def test_a_bundle_without_environment_or_recipe_opens(write: Write) -> None:
    folder = write().folder
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest["environment"] = {"numpy": "1.0"}  # as older versions wrote
    (folder / MANIFEST).write_text(json.dumps(manifest))
    old = Bundle.open(folder)
    assert old.recipe() is None
    assert [text.partition(",")[0] for text in old.differences_here()] == ["made with numpy 1.0"]
    assert RECIPE not in old.manifest.files


def test_a_recipe_survives_being_copied(write: Write, tmp_path: Path) -> None:
    with following(lambda: msgspec.structs.replace(MADE, commit="abc", threads=2)):
        bundle = write()
    copy = tmp_path / "copy"
    copy.mkdir()
    bundle.save(copy)
    kept = Bundle.load(copy).recipe()
    assert kept is not None
    assert (kept.commit, kept.threads) == ("abc", 2)
