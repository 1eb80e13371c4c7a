"""Stretches of an exported program that nothing is known of."""

import torch

from gristmill.incremental.graph.operators.opaque import Opaque, Source, Step
from gristmill.incremental.regions.rectangle import Rectangle


def test_steps_run_in_a_row_on_inputs_and_results(check):
    steps = [
        Step(torch.ops.aten.permute.default, (Source(False, 0), [0, 2, 3, 1]), {}),
        Step(torch.ops.aten.cumsum.default, (Source(True, 0), 3), {}),
        Step(torch.ops.aten.reshape.default, (Source(True, 1), [1, -1, 3]), {}),
    ]
    opaque = Opaque(steps, ["permute", "cumsum"])
    assert opaque.shape((3, 4, 5)) == (20, 3)
    assert opaque.title == "permute+cumsum"
    values = check.values([(3, 4, 5)], 0)[0]
    expected = values.permute(0, 2, 3, 1).cumsum(3).reshape(1, -1, 3)
    assert torch.equal(opaque.run(values), expected)
    assert not opaque.local
    assert opaque.reached(Rectangle(1, 1, 2, 2), 0, [(3, 4, 5)]) == (0, 0, 1, 1)
    assert torch.equal(opaque.run_region(Rectangle(0, 0, 1, 1), values), expected)


def test_a_map_stays_a_map(check):
    opaque = Opaque([Step(torch.ops.aten.softmax.int, (Source(False, 0), 1), {})], ["softmax"])
    check(opaque, [(3, 4, 5)], 0)


def test_nothing_that_is_handed_on_is_shared():
    values = torch.randn(1, 3, 4, 5)
    opaque = Opaque([Step(torch.ops.aten.alias.default, (Source(False, 0),), {})], [])
    found = opaque.run(values)
    assert torch.equal(found, values)
    assert found.untyped_storage().data_ptr() != values.untyped_storage().data_ptr()
