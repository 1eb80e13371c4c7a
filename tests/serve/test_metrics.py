from hypothesis import given
from hypothesis import strategies as st

from gristmill.serve.metrics import Histogram, Metrics


@given(st.lists(st.floats(0, 20)))
def test_a_bucket_counts_what_is_at_or_below_its_bound(values):
    histogram = Histogram([1, 2.5, 10])
    for value in values:
        histogram.observe(value)
    lines = list(histogram.lines("h", "What."))
    for bound, line in zip((1, 2.5, 10, float("inf")), lines[2:6], strict=True):
        assert line.endswith(f" {sum(value <= bound for value in values)}")
    assert lines[-1] == f"h_count {len(values)}"


def test_the_text_is_what_prometheus_reads():
    metrics = Metrics(queue_depth=lambda: 7)
    metrics.request("/v1/predict", 200, 0.002)
    metrics.request("/v1/predict", 200, 0.3)
    metrics.request("/v1/predict", 422, 0.0001)
    metrics.batch(3, 0.0015)
    lines = metrics.text().splitlines()
    assert lines[:4] == [
        "# HELP gristmill_requests_total Requests answered, by route and HTTP status.",
        "# TYPE gristmill_requests_total counter",
        'gristmill_requests_total{route="/v1/predict",status="200"} 2',
        'gristmill_requests_total{route="/v1/predict",status="422"} 1',
    ]
    assert 'gristmill_request_seconds_bucket{le="0.0025"} 2' in lines
    assert 'gristmill_request_seconds_bucket{le="+Inf"} 3' in lines
    assert 'gristmill_batch_records_bucket{le="2"} 0' in lines
    assert 'gristmill_batch_records_bucket{le="4"} 1' in lines
    assert "gristmill_batch_records_sum 3" in lines
    assert "gristmill_batch_seconds_sum 0.0015" in lines
    assert lines[-1] == "gristmill_queue_records 7"


def test_every_series_has_help_and_type():
    lines = Metrics().text().splitlines()
    series = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(series) == len(set(series)) == 5
    assert [line.split()[2] for line in lines if line.startswith("# HELP")] == series
