import re

from hypothesis import given
from hypothesis import strategies as st

from gristmill.serve.watch.metrics import Histogram, Metrics, Sample

LINE = re.compile(
    r'^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="([^"\\\n]|\\[\\"n])*",?)+\})? [-+.e0-9]+)$'
)


def test_requests_are_counted_by_route_model_and_status():
    metrics = Metrics()
    metrics.route("/v1/predict", "spam").done(200, 0.002)
    metrics.route("/v1/predict", "spam").done(200, 0.3)
    metrics.route("/v1/predict", "spam").done(503, 0.0001)
    metrics.route("other").done(404, 0.0)
    lines = metrics.text().splitlines()
    spam = 'route="/v1/predict",model="spam"'
    assert f'gristmill_requests_total{{{spam},status="200"}} 2' in lines
    assert f'gristmill_requests_total{{{spam},status="503"}} 1' in lines
    assert 'gristmill_requests_total{route="other",status="404"} 1' in lines
    assert f'gristmill_request_seconds_bucket{{{spam},le="0.0025"}} 2' in lines
    assert f'gristmill_request_seconds_bucket{{{spam},le="+Inf"}} 3' in lines
    assert f"gristmill_request_seconds_count{{{spam}}} 3" in lines


def test_each_family_has_one_head_and_stands_together():
    metrics = Metrics()
    for model in ("a", "b"):
        metrics.route("/x", model).done(200, 0.1)
    lines = metrics.text().splitlines()
    heads = [line for line in lines if line.startswith("# TYPE")]
    assert heads == [
        "# TYPE gristmill_requests_total counter",
        "# TYPE gristmill_request_seconds histogram",
    ]


def test_sources_are_asked_when_someone_looks():
    metrics, waiting = Metrics(), [3]
    metrics.add_source(lambda: [Sample("queue", "gauge", "Waiting.", {"model": "m"}, waiting[0])])
    assert 'queue{model="m"} 3' in metrics.text()
    waiting[0] = 5
    assert 'queue{model="m"} 5' in metrics.text()


@given(st.lists(st.floats(0, 5000), max_size=30))
def test_a_histogram_counts_values_up_to_each_bound(values):
    bounds = tuple(float(2**power) for power in range(11))
    histogram = Histogram(bounds)
    for value in values:
        histogram.observe(value)
    total = 0
    for bound, count in zip(bounds, histogram.counts, strict=False):
        total += count
        assert total == sum(value <= bound for value in values)
    assert sum(histogram.counts) == len(values)


@given(st.text())
def test_any_label_gives_lines_that_prometheus_reads(name):
    metrics = Metrics()
    metrics.route("/x", name).done(200, 0.1)
    for line in metrics.text().removesuffix("\n").split("\n"):
        assert LINE.match(line), line


def test_a_figure_that_two_sources_tell_is_shown_once():
    metrics = Metrics()
    for _ in range(2):
        metrics.add_source(lambda: [Sample("rows", "gauge", "Rows.", {"model": "a"}, 1.0)])
    metrics.add_source(lambda: [Sample("rows", "gauge", "Rows.", {"model": "b"}, 2.0)])
    lines = [line for line in metrics.text().splitlines() if not line.startswith("#")]
    assert lines == ['rows{model="a"} 1', 'rows{model="b"} 2']
