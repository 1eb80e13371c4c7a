import mmap
import os
import shutil

import numpy as np
import pytest

from gristmill.core.errors import BundleError
from gristmill.serve.replicas.opening import open_bundle
from gristmill.serve.replicas.shared_weights import SharedWeights
from gristmill.serve.runners.opening import open_runner
from gristmill.serve.runners.rows import Rows
from gristmill.store.bundle import WEIGHTS, Bundle

HEADER_OF_59 = (59).to_bytes(8, "little")


@pytest.fixture
def shared():
    made = []

    def make(fd=None):
        made.append(SharedWeights(fd))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_they_are_the_bundles(spam_bundle, shared):
    found = shared().of(spam_bundle).weights()
    expected = spam_bundle.weights()
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert (found[name] == array).all()


def test_all_who_open_them_read_the_same_memory(spam_bundle, shared):
    first = shared()
    first.of(spam_bundle)
    second = shared(os.dup(first.fd)).of(spam_bundle)
    assert os.fstat(second.fd).st_ino == os.fstat(first.fd).st_ino


def test_writing_to_them_changes_nothing_for_others(spam_bundle, shared):
    weights = shared()
    bundle = weights.of(spam_bundle)
    mine, theirs = bundle.weights(), bundle.weights()
    name = next(iter(mine))
    before = theirs[name].copy()
    mine[name][:] = 7
    assert (theirs[name] == before).all()


def test_nobody_can_change_the_file(spam_bundle, shared):
    weights = shared()
    weights.of(spam_bundle)
    for change in (
        lambda: os.pwrite(weights.fd, b"x", 0),
        lambda: os.ftruncate(weights.fd, 1),
        lambda: mmap.mmap(weights.fd, 0),
    ):
        with pytest.raises(OSError, match=r"Operation not permitted|Permission denied"):
            change()


def test_weights_that_were_tampered_with_are_refused(spam_bundle, shared, tmp_path):
    folder = shutil.copytree(spam_bundle.folder, tmp_path / "copy")
    bundle = Bundle.open(folder)
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    with pytest.raises(BundleError):
        shared().of(bundle)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        b"\x02\0\0\0\0\0\0\0{}"[:9],
        HEADER_OF_59 + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'.ljust(59),
        HEADER_OF_59 + b'{"a":{"dtype":"X99","shape":[0],"data_offsets":[0,0]}}'.ljust(59),
    ],
    ids=["nothing", "endless header", "cut", "no data", "unknown dtype"],
)
def test_what_is_no_safetensors_is_refused(spam_bundle, shared, data):
    fd = os.memfd_create("weights")
    os.write(fd, data)
    with pytest.raises(BundleError, match="not safetensors: "):
        shared(fd).of(spam_bundle).weights()


def test_a_runner_with_them_answers_the_same(spam_bundle, shared):
    rows = Rows({"text": ["win a prize now", "see you at six", ""]})
    weights = shared()
    expected = open_runner(spam_bundle)(rows)
    for _ in range(2):
        found = open_bundle(str(spam_bundle.folder), 1, weights)(rows)
        assert found["label"] == expected["label"]
        assert np.array_equal(found["probs"], expected["probs"])
