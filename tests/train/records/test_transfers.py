from __future__ import annotations

import select
import threading

from tests.processes import open_files

from gristmill.core.errors import TrainError
from gristmill.train.records.transfers import ThreadedTransfers, Transfer


def collect(transfers: ThreadedTransfers, count: int) -> list[Transfer]:
    found: list[Transfer] = []
    while len(found) < count:
        assert select.select([transfers], [], [], 30)[0]
        found += transfers.ended()
    return found


def transfer(run, direction="read") -> Transfer:
    return Transfer(direction, run, lambda _: None)


def test_results_and_errors_come_back():
    def refuse():
        raise TrainError("no")

    def burst():
        return 1 // 0

    transfers = ThreadedTransfers()
    works, fails, bursts = transfer(lambda: 5), transfer(refuse, "written"), transfer(burst)
    for each in (works, fails, bursts):
        transfers.submit(each)
    assert len(collect(transfers, 3)) == 3
    transfers.close()
    assert works.result == 5
    assert works.error is None
    assert str(fails.error) == "no"
    assert str(bursts.error).startswith("a transfer failed: ZeroDivisionError: ")


def test_writing_does_not_hold_up_reading():
    transfers, gate = ThreadedTransfers(readers=1, writers=1), threading.Event()
    transfers.submit(transfer(gate.wait, "written"))
    transfers.submit(transfer(lambda: "read"))
    (first,) = collect(transfers, 1)
    assert first.result == "read"
    gate.set()
    transfers.close()


def test_a_signal_makes_it_readable_once():
    transfers = ThreadedTransfers()
    for _ in range(70_000):  # more than a pipe holds
        transfers.signal()
    assert select.select([transfers], [], [], 0)[0]
    assert transfers.ended() == []
    assert not select.select([transfers], [], [], 0)[0]
    transfers.close()


def test_close_ends_threads_and_descriptors():
    threads, descriptors = set(threading.enumerate()), open_files()
    transfers = ThreadedTransfers(readers=3, writers=1)
    late = transfer(lambda: "done")
    transfers.submit(late)
    transfers.close()
    assert late.result == "done"
    assert set(threading.enumerate()) <= threads
    assert open_files() == descriptors
