from __future__ import annotations

from gristmill.train.records.traffic import Flow, Traffic


def test_time_counts_once_while_transfers_overlap():
    flow = Flow()
    flow.begin(1.0)
    flow.begin(2.0)
    flow.end(3.0, 100, 0.25)
    flow.end(5.0, 300, 0.25)
    flow.begin(9.0)
    flow.end(10.0, 0, 0.0)  # it failed
    assert (flow.bytes_, flow.transfers, flow.seconds, flow.processor_seconds) == (400, 2, 5.0, 0.5)
    assert flow.bytes_per_second == 80.0


def test_nothing_moved_is_no_rate():
    assert Flow().bytes_per_second == 0.0


def test_it_can_be_printed():
    traffic = Traffic(read=Flow(bytes_=2_000_000, seconds=1.0), stall_seconds=0.5)
    assert str(traffic) == "read 2 MB at 2 MB/s, written 0 B at 0 B/s, waited 500 ms"
