"""On a GPU. Where there is none these tests are skipped, and so far they have never run."""

from __future__ import annotations

import pytest
import torch

from gristmill.train.workers.cuda_streams import CudaStreams

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU that torch can use"),
]
MANY = 1 << 24


@pytest.fixture
def host():
    return torch.arange(MANY, dtype=torch.int64).view(torch.uint8)


@pytest.fixture
def streams(host):
    made = CudaStreams("cuda:0", host)
    yield made
    made.close()


def test_memory_of_the_host_is_page_locked(streams, host):
    assert streams.said == ""
    assert host.is_pinned()
    streams.close()
    assert not host.is_pinned()
    streams.said = "closed"


def test_memory_that_cannot_be_locked_is_copied_all_the_same(host):
    CudaStreams("cuda:0", host)
    again = CudaStreams("cuda:0", host)  # CUDA refuses to lock what is locked
    assert "could not be page-locked" in again.said
    own = again.room(host.numel())
    again.up([(own, host)]).wait()
    assert torch.equal(own.cpu(), host)
    torch.cuda.cudart().cudaHostUnregister(host.data_ptr())


def test_bytes_are_the_same_after_the_round_trip(streams, host):
    own, before = streams.room(host.numel()), host.clone()
    assert own.data_ptr() % 512 == 0
    up = streams.up([(own, host)])
    down = streams.down([(host, own)], [up])
    down.wait()
    assert up.reached()
    assert torch.equal(host, before)


def test_what_is_computed_follows_copies_and_copies_follow_what_is_computed(streams, host):
    own = streams.room(host.numel())
    streams.follow(streams.up([(own, host)]))
    numbers = own.view(torch.int64)
    for _ in range(20):
        numbers += 1
    streams.down([(host, own)], [streams.computed()]).wait()
    wanted = torch.arange(20, 20 + MANY, dtype=torch.int64)
    assert torch.equal(host.view(torch.int64), wanted)
