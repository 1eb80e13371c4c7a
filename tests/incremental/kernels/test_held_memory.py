"""Memory that a thread keeps: where it lies, and whose it is."""

from concurrent.futures import ThreadPoolExecutor

from gristmill.incremental.kernels.held_memory import HeldMemory


def test_floats_lie_at_their_address_and_stay_there_until_more_are_asked_for():
    memory = HeldMemory()
    address = memory.address(1000)
    assert [memory.floats(count).data_ptr() for count in (1000, 1, 500)] == [address] * 3
    assert memory.address(10) == address
    more = memory.floats(100_000)
    assert more.shape == (100_000,)
    assert memory.address(1000) == more.data_ptr()


def test_each_thread_has_its_own():
    memory = HeldMemory()
    with ThreadPoolExecutor(1) as other:
        assert other.submit(memory.address, 1000).result() != memory.address(1000)
