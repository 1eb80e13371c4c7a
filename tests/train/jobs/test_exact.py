"""Whatever the shards, the budget, the devices and the company: the bits of the plain loop."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from gristmill.train.records.export import export_commit
from gristmill.train.records.record_store import RecordStore

TIGHT = 21 * 4096
"""Bytes: no trial of several shards fits it whole."""
ROOMY = 1 << 20


@st.composite
def specs(draw, trials):
    """Return a trial, and the name of its model."""
    model = draw(st.sampled_from(sorted(trials.MODELS)))
    spec = trials.trial(
        model,
        draw(st.sampled_from(sorted(trials.OPTIMIZERS))),
        draw(st.sampled_from(sorted(trials.SCHEDULES))),
        rows=draw(st.integers(10, 13)),
        soft=draw(st.booleans()),
        seed=draw(st.integers(0, 9)),
        held_out=draw(st.sampled_from([0, 2, 3])),
        steps=draw(st.integers(2, 5)),
        micro_batches=draw(st.integers(1, 4)),
        clip_norm=draw(st.sampled_from([None, 0.05, 1.0])),
        precision=draw(st.sampled_from(["float32", "bfloat16"])),
    )
    return model, spec


@st.composite
def prepared(draw, trials, memory):
    """Return a trial with its plan and shape, cut so that a stage fits the memory."""
    model, spec = draw(specs(trials))
    layers = len(trials.graph_of(model).layers)
    cuts = sorted(draw(st.sets(st.integers(1, layers - 1), max_size=4)))
    grain = draw(st.sampled_from(["stage", "micro", "step"] if memory == ROOMY else ["stage"]))
    if memory == TIGHT:
        whole = trials.planned(spec, model, cuts)
        cuts = cuts if trials.least_memory([whole]) <= TIGHT else list(range(1, layers))
    dropped = draw(st.sets(st.integers(0, len(cuts)), max_size=len(cuts) + 1))
    plan, shape = trials.planned(spec, model, cuts, dropped, grain, spilled=memory == TIGHT)
    return spec, plan, shape


def check(trials, shared_runs, devices, memory, chosen):
    run, numbers = shared_runs.train(devices, memory, [each[1:] for each in chosen])
    assert run.failures == {}
    for number, (spec, _, _) in zip(numbers, chosen, strict=True):
        assert trials.differences(run, number, spec) == []
        if spec.evaluation:
            assert run.figures(number)[spec.steps] == trials.expected_figures(spec)
        run.retire(number, forget=True)


EXAMPLES = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("memory", [TIGHT, ROOMY])
def test_trials_that_share_devices_equal_the_plain_loop(trials, shared_runs, devices, memory):
    @EXAMPLES
    @given(st.data())
    def example(data):
        few = st.lists(prepared(trials, memory), min_size=1, max_size=3)
        check(trials, shared_runs, devices, memory, data.draw(few))

    example()


def test_the_weights_load_in_plain_torch_and_through_safetensors(trials, start, tmp_path):
    spec = trials.trial(steps=3)
    run = start(1, 1 << 20)
    run.add(0, *trials.planned(spec, cuts=(2, 5)))
    run.run()
    wanted = trials.expected(spec)[0]
    trials.Skips().load_state_dict(run.state_dict(0))
    run.close()
    found = {}
    with RecordStore(tmp_path / "run") as store:
        for section in ("weights", "buffers"):
            target = tmp_path / f"{section}.safetensors"
            export_commit(store, store.last(0), target, sections=(section,))
            found |= load_file(target)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
