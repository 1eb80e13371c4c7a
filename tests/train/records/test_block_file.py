from __future__ import annotations

import errno
import mmap
import os
import re
import resource
from pathlib import Path

import pytest
import xxhash

from gristmill.core.errors import TrainError
from gristmill.train.records import block_file
from gristmill.train.records.block_file import BlockFile, allows_direct

SLOT = 3 * 4096


@pytest.fixture
def area():
    """Two slots of aligned memory."""
    with mmap.mmap(-1, 2 * SLOT) as area, memoryview(area) as view:
        yield view


@pytest.fixture(params=["direct", "cached"])
def file(request, tmp_path):
    if request.param == "direct" and not allows_direct(tmp_path):
        pytest.skip("this file system has no direct I/O")
    return BlockFile(tmp_path / "record", SLOT, direct=request.param == "direct")


def test_slots_come_back_as_written(file, area, monkeypatch):
    monkeypatch.setattr(block_file, "CHUNK_BYTES", 8192)  # several system calls a slot
    written, read = area[:SLOT], area[SLOT:]
    for slot in (0, 2, 1):
        written[:] = bytes([slot + 1]) * SLOT
        digest = file.write(slot, written, durable=True)
        assert digest == xxhash.xxh3_128_hexdigest(written)
    for slot in range(3):
        file.read(slot, read, digest=xxhash.xxh3_128_hexdigest(bytes([slot + 1]) * SLOT))
        assert bytes(read) == bytes([slot + 1]) * SLOT
        assert file.digest(slot, area[:8192]) == xxhash.xxh3_128_hexdigest(read)
    assert file.path.stat().st_size == 3 * SLOT


def test_a_file_has_room_for_its_slot_before_bytes_move(file, area):
    assert file.write(0, area[:SLOT], durable=False) == ""
    assert file.path.stat().st_blocks * 512 >= SLOT


def test_bytes_that_are_not_durable_yet_are_synced_once(file, area, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(fd))
    assert file.write(0, area[:SLOT], hashed=True) == xxhash.xxh3_128_hexdigest(area[:SLOT])
    synced.clear()  # without direct I/O bytes are synced before the cache is told to forget them
    file.sync()
    file.sync()
    assert len(synced) == file._direct
    file.write(0, area[:SLOT], durable=True)
    synced.clear()
    file.sync()
    assert synced == []


def test_scratch_is_not_hashed_and_damage_is_found(file, area):
    file.write(0, area[:SLOT], durable=False)
    with pytest.raises(
        TrainError,
        match=rf"^{re.escape(str(file.path))}: slot 0 is damaged: expected digest abc, "
        r"found [0-9a-f]{32}$",
    ):
        file.read(0, area[SLOT:], digest="abc")


def test_a_short_or_missing_file_is_named(file, area):
    with pytest.raises(TrainError, match=rf"^{re.escape(str(file.path))}: cannot be read: No such"):
        file.read(0, area[:SLOT])
    file.write(0, area[:SLOT], durable=False)
    os.truncate(file.path, 4096)
    with pytest.raises(TrainError, match=r"the file ends at byte 4096, expected 8192 bytes more$"):
        file.read(0, area[:SLOT])
    with pytest.raises(TrainError, match="the file ends at byte 4096"):
        file.digest(0, area[:SLOT])


@pytest.mark.parametrize("call", ["posix_fallocate", "pwritev"])
def test_a_full_disk_leaves_the_other_slots_alone(file, area, monkeypatch, call):
    area[:SLOT] = b"\5" * SLOT
    digest = file.write(0, area[:SLOT], durable=True)
    real, calls = getattr(os, call), []

    def full(fd, *rest):
        calls.append(rest)
        if call == "pwritev" and len(calls) == 1:  # a part is written first
            return real(fd, [rest[0][0][:4096]], rest[1])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(
            TrainError,
            match=rf"^{re.escape(str(file.path))}: the disk is full: 12288 bytes needed "
            r"\(12\.3 KB\), \d+ free \(No space left on device\)\n  fix: make room on this disk",
        ):
            file.write(1, area[:SLOT], durable=True)
    file.read(0, area[SLOT:], digest=digest)


def test_a_file_too_large_for_its_limit_shrinks_back(tmp_path, area):
    file = BlockFile(tmp_path / "record", SLOT, direct=False)
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (SLOT + 4096, SLOT + 4096))
        file.write(0, area[:SLOT], durable=True)
        try:
            file.write(1, area[:SLOT], durable=True)
        except TrainError as error:
            os._exit(7 if "12288 bytes needed" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert file.path.stat().st_size == SLOT


def test_a_file_system_that_refuses_direct_io_is_noticed(tmp_path, monkeypatch):
    def refuse(path, flags, mode=0o777):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    assert isinstance(allows_direct(tmp_path), bool)
    monkeypatch.setattr(os, "open", refuse)
    assert not allows_direct(tmp_path)
    assert list(Path(tmp_path).iterdir()) == []


def test_other_errors_are_not_taken_for_a_full_disk(file, area, monkeypatch):
    def broken(fd, parts, start):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pwritev", broken)
    with pytest.raises(TrainError, match=r"record: cannot be written: Input/output error$"):
        file.write(0, area[:SLOT], durable=True)
