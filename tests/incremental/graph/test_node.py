"""Graphs: regions of every node of real networks against whole runs."""

from random import Random

import pytest
import torch

from gristmill.incremental.execution.whole import Whole
from gristmill.incremental.graph.node import FRAME
from gristmill.incremental.graph.operator import cut, extent, whole
from gristmill.incremental.regions.rectangle import EMPTY, Rectangle


def rectangle(shape, random):
    height, width = extent(shape)
    top, bottom = sorted(random.sample(range(height + 1), 2))
    left, right = sorted(random.sample(range(width + 1), 2))
    return Rectangle(top, left, bottom, right)


def inputs_of(graph, number, values, frame):
    sources = graph.nodes[number].inputs
    return [frame if source == FRAME else values[source] for source in sources]


@pytest.mark.parametrize("threads", [1, 2])
def test_every_node_computes_regions_as_the_whole(net, frames, threads):
    _, graph = net
    random, frame = Random(threads), frames(45, 38).contiguous(memory_format=torch.channels_last)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        values = graph.run(frame)
        for number, node in enumerate(graph.nodes):
            given = inputs_of(graph, number, values, frame)
            for _ in range(3):
                region = rectangle(values[number].shape[1:], random)
                with torch.inference_mode():
                    found = node.operator.run_region(region, *given)
                expected = cut(values[number], region)
                if node.operator.exact:
                    assert torch.equal(found, expected), node.name
                else:
                    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    finally:
        torch.set_num_threads(before)


def test_the_whole_by_units_is_the_outputs_of_a_run(net, frames):
    _, graph = net
    frame = frames(45, 38)
    values, results = graph.run(frame), Whole(graph, tuple(frame.shape[1:]))(frame)
    assert len(results) == len(graph.outputs)
    for number, result in zip(graph.outputs, results, strict=True):
        assert torch.equal(values[number], result)


def test_a_change_of_the_frame_stays_within_its_reach(net, frames):
    _, graph = net
    shapes = graph.shapes()
    random = Random(3)
    base = frames(45, 38)
    before = graph.run(base)
    for _ in range(4):
        changed = rectangle(graph.input_shape, random)
        frame = base.clone()
        cut(frame, changed).mul_(-2.0)
        reached = reached_by(graph, shapes, changed)
        for number, (old, new) in enumerate(zip(before, graph.run(frame), strict=True)):
            outside = (old != new).flatten(0, 1).any(0)
            if outside.dim() == 2:
                top, left, bottom, right = reached[number]
                outside[top:bottom, left:right] = False
                assert not outside.any(), graph.nodes[number].name
            else:
                assert not outside or reached[number] == (0, 0, 1, 1)


def reached_by(graph, shapes, changed):
    """The bounding box of what a change of the frame reaches, node by node."""
    found = []
    for node in graph.nodes:
        given = [graph.input_shape if source == FRAME else shapes[source] for source in node.inputs]
        places = [changed if source == FRAME else found[source] for source in node.inputs]
        box = EMPTY
        for which, place in enumerate(places):
            if not place.empty:
                box = box.united(node.operator.reached(place, which, given))
        found.append(box)
    return found


def test_everything_reaches_everything(net):
    _, graph = net
    shapes = graph.shapes()
    reached = reached_by(graph, shapes, whole(graph.input_shape))
    assert reached == [whole(shape) for shape in shapes]
    assert reached_by(graph, shapes, EMPTY) == [EMPTY] * len(shapes)


def test_readers_are_the_inputs_turned_round(net):
    _, graph = net
    pairs = {(source, number) for number, node in enumerate(graph.nodes) for source in node.inputs}
    assert pairs == {
        (source if source < len(graph.nodes) else FRAME, number)
        for source, numbers in enumerate(graph.readers)
        for number in numbers
    }
    assert graph.output == graph.outputs[0]
    assert graph.exact == all(node.operator.exact for node in graph.nodes)


def test_flops_of_a_region_are_its_share(net):
    _, graph = net
    shapes = graph.shapes()
    for number, node in enumerate(graph.nodes):
        given = [graph.input_shape if source == FRAME else shapes[source] for source in node.inputs]
        everything = node.operator.flops(whole(shapes[number]), given)
        assert everything > 0
        assert 0 < node.operator.flops(Rectangle(0, 0, 1, 1), given) <= everything
