"""Bundles: written the same each time, read back whole, and refused after any tampering."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.core.errors import BundleError
from gristmill.data.features import HashedNgrams
from gristmill.store.bundle import Bundle, Field, Manifest, Signature, check_target, write_bundle
from gristmill.store.graph import GraphSpec, Input, Items, Node, Ref

GRAPH = GraphSpec(
    inputs=[Input("%ids", "int64", [None, None])],
    weights=["table"],
    nodes=[
        Node("%rows", "aten.embedding.default", [Ref("table"), Ref("%ids"), 0]),
        Node("%sum", "aten.sum.dim_IntList", [Ref("%rows"), Items([1])]),
    ],
    outputs=["%sum"],
)
WEIGHTS: dict[str, Any] = {"table": np.arange(22, dtype=np.float32).reshape(11, 2)}
SIGNATURE = Signature(
    inputs=[Field("text", "string", max_length=500)],
    outputs=[Field("label", "string", domain=["ham", "spam"])],
)
Write = Callable[..., Bundle]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str = "bundle", **changes: Any) -> Bundle:
        arguments: dict[str, Any] = {
            "name": "toy",
            "classes": ["ham", "spam"],
            "signature": SIGNATURE,
            "featurizer": HashedNgrams(buckets=10),
            "graph": GRAPH,
            "weights": WEIGHTS,
            "metrics": {"f1": 0.93},
            "lineage": {"labels": "abc"},
            "extra_files": {"schema.toml": "[text]\n", "notes/card.md": b"# Toy\n"},
        }
        return write_bundle(tmp_path / name, **(arguments | changes))

    return write


def edit_manifest(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    edit(manifest)
    path.write_text(json.dumps(manifest))


def refusal(folder: Path) -> str:
    """Return why a folder is not opened, without the folder's name, which comes first."""
    with pytest.raises(BundleError) as caught:
        Bundle.open(folder)
    assert caught.value.fix
    text = str(caught.value).partition("\n")[0]
    assert text.startswith(f"{folder}")
    return text.removeprefix(f"{folder}").lstrip(":, ")


def test_what_is_written_is_read_back(write: Write) -> None:
    bundle = Bundle.open(write().folder)
    assert (bundle.name, bundle.classes, bundle.signature) == ("toy", ["ham", "spam"], SIGNATURE)
    assert bundle.featurizer() == HashedNgrams(buckets=10)
    assert bundle.graph() == GRAPH
    np.testing.assert_array_equal(bundle.weights()["table"], WEIGHTS["table"])
    assert bundle.read("notes/card.md") == b"# Toy\n"
    assert bundle.manifest.environment["numpy"] == np.__version__


def test_equal_bundles_are_equal_byte_for_byte(write: Write) -> None:
    one, two = write("one"), write("two", extra_files={"notes/card.md": b"# Toy\n",
                                                       "schema.toml": "[text]\n"})  # fmt: skip
    names = [MANIFEST, *one.manifest.files]
    assert [(one.folder / name).read_bytes() for name in names] == [
        (two.folder / name).read_bytes() for name in names
    ]
    assert one.fingerprint == two.fingerprint
    assert write("three", metrics={"f1": 0.94}).fingerprint != one.fingerprint


MANIFEST = "manifest.json"


def test_save_load_and_describe(write: Write, tmp_path: Path) -> None:
    bundle = write()
    copy = tmp_path / "copy"
    copy.mkdir()
    bundle.save(copy)
    loaded = Bundle.load(copy)
    assert loaded.fingerprint == bundle.fingerprint
    assert loaded.describe() == {
        "name": "toy",
        "fingerprint": bundle.fingerprint,
        "classes": ["ham", "spam"],
        "bytes": sum(len(bundle.read(name)) for name in bundle.manifest.files),
        "metrics": {"f1": 0.93},
        "lineage": {"labels": "abc"},
    }


def test_a_bundle_is_replaced_as_a_whole_and_nothing_else_ever_is(
    write: Write, tmp_path: Path
) -> None:
    write()
    assert "notes/card.md" not in write(extra_files={}).manifest.files
    thesis = tmp_path / "work" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("years of it")
    with pytest.raises(BundleError, match="found other files\n  fix: name another folder"):
        write("work")
    with pytest.raises(BundleError, match="expected a folder, found a file"):
        write("work/thesis.txt")
    assert thesis.read_text() == "years of it"


def test_a_failed_write_leaves_the_old_bundle(write: Write, tmp_path: Path) -> None:
    before = write().fingerprint
    with pytest.raises(BundleError):
        write(extra_files={"../escape.txt": "x"})
    assert Bundle.open(tmp_path / "bundle").fingerprint == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ["one"]}, "expected two or more different classes, found ['one']"),
        ({"classes": ["a", "a"]}, "expected two or more different classes, found ['a', 'a']"),
        ({"metrics": {"f1": float("nan")}}, "metric 'f1': expected a finite figure, found nan"),
        ({"weights": {}}, "graph and weights disagree about table"),
        (
            {"weights": {"table": np.zeros(2, dtype=np.uint8)}},
            "weights.safetensors, tensor 'table': expected a tensor of float16, float32, float64, "
            "int32, int64, bool, found uint8",
        ),
        (
            {"extra_files": {"graph.json": "{}"}},
            "graph.json: an extra file may not take the place of this one",
        ),
        (
            {"extra_files": {"/etc/cron": "x"}},
            "'/etc/cron': expected a plain relative path of letters, digits and ._-/",
        ),
    ],
)
def test_arguments_that_are_refused(write: Write, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError) as caught:
        write(**changes)
    assert str(caught.value) == message


def test_opening_what_is_no_bundle(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none").endswith("expected the folder of a bundle, found none")
    assert refusal(tmp_path).startswith("manifest.json: expected a file, found none")


def test_a_folder_of_bundles_is_told_which_there_are(write: Write, tmp_path: Path) -> None:
    folder = tmp_path / "bundles"
    folder.mkdir()
    for name in ("b", "a"):
        write(f"bundles/{name}")
    with pytest.raises(BundleError, match="found one of bundles: a, b") as caught:
        Bundle.open(folder)
    assert caught.value.fix == f"name one of them: {folder / 'a'}"


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(data=st.data())
def test_any_changed_byte_of_any_file_is_found(write: Write, data: st.DataObject) -> None:
    bundle = write()
    name = data.draw(st.sampled_from(sorted(bundle.manifest.files)))
    content = bytearray((bundle.folder / name).read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    (bundle.folder / name).write_bytes(content)
    expected = bundle.manifest.files[name].sha256
    found = hashlib.sha256(content).hexdigest()
    assert refusal(bundle.folder) == f"{name}: expected SHA-256 {expected}, found {found}"


def test_a_change_after_opening_is_found_when_the_file_is_read(write: Write) -> None:
    bundle = write()
    path = bundle.folder / "graph.json"
    path.write_bytes(path.read_bytes().replace(b"sum", b"mum"))
    with pytest.raises(BundleError, match=r"^graph.json: expected SHA-256 "):
        bundle.graph()
    with pytest.raises(BundleError, match=r"^nothing.txt: expected one of features.json, "):
        bundle.read("nothing.txt")


def test_files_added_removed_cut_and_linked(write: Write, tmp_path: Path) -> None:
    def after(change: Callable[[Path], object]) -> str:
        folder = write().folder
        change(folder)
        return refusal(folder)

    extra = "expected only what the manifest lists, found this"
    assert after(lambda folder: (folder / "run.py").write_text("x")) == f"run.py: {extra}"
    assert after(lambda folder: (folder / "notes/x.so").write_text("x")) == f"notes/x.so: {extra}"
    assert after(lambda folder: (folder / "empty").mkdir()) == f"empty: {extra}"
    assert after(lambda folder: (folder / "schema.toml").unlink()) == (
        "schema.toml: expected a file, found none (No such file or directory)"
    )
    assert after(lambda folder: os.truncate(folder / "schema.toml", 3)) == (
        "schema.toml: expected 7 bytes, found 3"
    )
    twin = tmp_path / "twin.toml"
    twin.write_text("[text]\n")

    def link(folder: Path) -> None:
        (folder / "schema.toml").unlink()
        (folder / "schema.toml").symlink_to(twin)

    assert after(link) == "schema.toml: expected a plain file or folder, found a link"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m.update(format=2), "expected format 1, found 2"),
        (
            lambda m: m.update(format="1"),
            "not a manifest: Expected `int`, got `str` - at `$.format`",
        ),
        (lambda m: m.pop("classes"), "not a manifest: Object missing required field `classes`"),
        (lambda m: m.update(classes="ham"), "not a manifest: Expected `array`, got `str`"),
        (lambda m: m.update(task="run"), "not a manifest: Invalid enum value 'run' - at `$.task`"),
        (lambda m: m.update(setup="x"), "not a manifest: Object contains unknown field `setup`"),
        (lambda m: m.update(featurizer="../f.json"), "not a manifest: Invalid enum value"),
        (lambda m: m["metrics"].update(f1=None), "not a manifest: Expected `float`, got `null`"),
        (lambda m: m["files"].pop("graph.json"), "expected graph.json among the files, found none"),
        (
            lambda m: m["files"].update({"../x": m["files"]["schema.toml"]}),
            "'../x': expected a plain relative path",
        ),
        (
            lambda m: m["files"]["schema.toml"].update(bytes_=10**15),
            "schema.toml: expected 1000000000000000 bytes, found 7",
        ),
        (
            lambda m: m["files"]["schema.toml"].update(bytes_=-1),
            "schema.toml: expected -1 bytes, found 7",
        ),
        (
            lambda m: m["files"]["schema.toml"].update(sha256="00"),
            "schema.toml: expected SHA-256 00, found ",
        ),
    ],
)
def test_manifests_that_are_refused(
    write: Write, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    folder = write().folder
    edit_manifest(folder, edit)
    assert message in refusal(folder)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[]", b"null", b'{"format":' + b"[" * 99999]
)
def test_manifests_that_are_no_json(write: Write, content: bytes) -> None:
    folder = write().folder
    (folder / "manifest.json").write_bytes(content)
    assert "manifest.json: not a manifest: " in refusal(folder)


def test_a_manifest_too_large_to_read_is_not_read(write: Write) -> None:
    folder = write().folder
    os.truncate(folder / "manifest.json", 1 << 40)
    assert refusal(folder) == ("manifest.json: expected at most 4194304 bytes, found 1099511627776")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04\x95pickle",
        (2**60).to_bytes(8, "little") + b"{}",
        b"\x02\x00\x00\x00\x00\x00\x00\x00[]",
    ],
)
def test_weights_that_are_no_safetensors(write: Write, content: bytes) -> None:
    folder = write().folder
    (folder / "weights.safetensors").write_bytes(content)
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes_": len(content)}
    edit_manifest(folder, lambda m: m["files"].update({"weights.safetensors": entry}))
    with pytest.raises(BundleError, match=r"^weights.safetensors: not safetensors: "):
        Bundle.open(folder).weights()


def test_a_featurizer_that_makes_no_sense_is_the_bundles_fault(write: Write) -> None:
    folder = write().folder
    content = b'{"kind": "hashed_ngrams", "buckets": -1}'
    (folder / "features.json").write_bytes(content)
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes_": len(content)}
    edit_manifest(folder, lambda m: m["files"].update({"features.json": entry}))
    with pytest.raises(BundleError, match=r"^features.json: not a featurizer: expected buckets "):
        Bundle.open(folder).featurizer()


def test_every_field_of_the_manifest_is_checked_strictly() -> None:
    assert Manifest.__struct_config__.forbid_unknown_fields
    assert Field.__struct_config__.forbid_unknown_fields
    assert Signature.__struct_config__.forbid_unknown_fields


def test_opening_needs_neither_torch_nor_safetensors(write: Write) -> None:
    code = (
        "import sys; from gristmill.store.bundle import Bundle;"
        f"bundle = Bundle.open({str(write().folder)!r}); bundle.graph(); bundle.featurizer();"
        "print([name for name in ('torch', 'safetensors') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_target_below_a_file_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="file: expected a folder to write to, found a file"):
        check_target(tmp_path / "file" / "bundle")
    check_target(tmp_path / "new" / "folders" / "bundle")
    assert not (tmp_path / "new").exists()
