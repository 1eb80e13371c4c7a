from gristmill.serve.replicas.dispatcher import Counts
from gristmill.serve.replicas.health import Health


def test_figures_carry_the_name_of_the_model():
    health = Health(True, 1, 2, ("replica 1 is gone",), Counts(lost=3, retried=4, refused=5))
    found = [(sample.name, sample.labels, sample.value) for sample in health.samples("spam")]
    model = {"model": "spam"}
    assert found == [
        ("gristmill_replicas", model, 1),
        ("gristmill_replicas_wanted", model, 2),
        ("gristmill_replicas_lost_total", model, 3),
        ("gristmill_retried_total", model, 4),
    ]
