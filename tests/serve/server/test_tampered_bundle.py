"""A bundle in which anything was changed is not served."""

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.core.errors import BundleError
from gristmill.serve.server.opening import open_model
from gristmill.serve.server.settings import Settings
from gristmill.store.bundle import MANIFEST


@pytest.fixture
def copied(spam_bundle, tmp_path):
    """A bundle that may be spoiled."""
    return shutil.copytree(spam_bundle.folder, tmp_path / "copied")


def names_of(folder):
    return sorted(file.name for file in folder.iterdir() if file.name != MANIFEST)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_one_byte_that_was_changed(copied, data):
    file = copied / data.draw(st.sampled_from(names_of(copied)))
    whole = file.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(1, 255))
    file.write_bytes(whole[:place] + bytes([whole[place] ^ other]) + whole[place + 1 :])
    try:
        with pytest.raises(BundleError):
            open_model("", copied, Settings())
    finally:
        file.write_bytes(whole)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_manifest_that_was_cut_or_changed_is_refused_or_another_bundles(
    copied, spam_bundle, data
):
    file = copied / MANIFEST
    whole = (spam_bundle.folder / MANIFEST).read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    rest = data.draw(
        st.just(b"") | st.binary(min_size=1, max_size=3).map(lambda new: new + whole[place + 1 :])
    )
    file.write_bytes(whole[:place] + rest)
    try:
        opened = open_model("", copied, Settings())
    except BundleError:
        return
    # What names another bundle has another fingerprint, in every answer of it.
    assert (opened.endpoint.fingerprint != spam_bundle.fingerprint) == (
        whole[:place] + rest != whole
    )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "more").write_text("x"),
        lambda folder: (folder / "graph.json").unlink(),
        lambda folder: (folder / "graph.json").write_bytes(b""),
        lambda folder: (folder / MANIFEST).unlink(),
        lambda folder: (folder / MANIFEST).write_bytes(b"[" * 100_000),
    ],
    ids=["one more", "one less", "one empty", "no manifest", "a deep manifest"],
)
def test_files_too_many_or_too_few(copied, spoil):
    spoil(copied)
    with pytest.raises(BundleError):
        open_model("", copied, Settings())


def test_a_link_to_a_file_is_no_file(copied, tmp_path):
    file = copied / "graph.json"
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError):
        open_model("", copied, Settings())
