"""The loop against ten lines of plain PyTorch, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gristmill.core.seeds import derive_seed
from gristmill.train.batches import epoch_batches
from gristmill.train.examples import Examples, batch_inputs
from gristmill.train.loop import scoring_batches
from gristmill.train.model_spec import ModelSpec, build_model
from gristmill.train.training import fit

SPEC = ModelSpec("mlp", {"buckets": 128, "classes": 2, "dim": 8, "hidden": 8, "dropout": 0.3})


def plain_loop(examples, *, epochs, batch_size, seed, accumulate, clip):
    """The weights after training in the way that a tutorial would."""
    model = build_model(SPEC, seed).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1, fused=True)
    data = examples.by_row_id()
    for epoch in range(1, epochs + 1):
        batches = epoch_batches(data.lengths, batch_size, seed, epoch)
        for first in range(0, len(batches), accumulate):
            group = batches[first : first + accumulate]
            weight = sum(data.weights[rows].sum(dtype=np.float64) for rows in group)
            optimizer.zero_grad()
            for batch, rows in enumerate(group, start=first):
                torch.manual_seed(derive_seed(seed, "draws", epoch, batch))
                logits = model(torch.from_numpy(batch_inputs(data.inputs, rows)))
                targets = torch.from_numpy(data.targets[rows])
                each = -(targets * logits.log_softmax(-1)).sum(-1)
                ((each * torch.from_numpy(data.weights[rows])).sum() / float(weight)).backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
    return model.state_dict()


def soft(examples: Examples) -> Examples:
    """The same rows with doubts about their labels, and weights."""
    generator = np.random.default_rng(1)
    doubt = generator.uniform(0, 0.4, (len(examples), 1)).astype(np.float32)
    targets = examples.targets * (1 - doubt) + doubt / 2
    weights = generator.uniform(0.1, 1, len(examples)).astype(np.float32)
    return Examples(examples.inputs, targets, weights, examples.row_ids)


@pytest.mark.parametrize(("accumulate", "clip"), [(1, None), (3, 0.5)])
def test_equals_the_plain_loop(examples, accumulate, clip):
    data = soft(examples)
    shuffled = data.take(np.random.default_rng(2).permutation(len(data)))
    fitted = fit(
        SPEC,
        shuffled,
        lr=0.01,
        weight_decay=0.1,
        epochs=3,
        batch_size=16,
        seed=11,
        accumulate=accumulate,
        clip_norm=clip,
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        expected = plain_loop(
            data, epochs=3, batch_size=16, seed=11, accumulate=accumulate, clip=clip
        )
    torch.set_num_threads(threads)
    for name, tensor in fitted.module.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_accumulated_batches_are_one_large_batch(examples):
    """Without dropout, and up to rounding."""
    spec = ModelSpec("linear", {"buckets": 128, "classes": 2})
    rows = soft(examples)
    large = fit(spec, rows, batch_size=256, epochs=2, optimizer="sgd", lr=0.1)
    pieces = fit(spec, rows, batch_size=32, accumulate=8, epochs=2, optimizer="sgd", lr=0.1)
    for one, other in zip(large.module.parameters(), pieces.module.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_a_row_of_weight_two_counts_as_two_rows(examples):
    spec = ModelSpec("linear", {"buckets": 128, "classes": 2})
    weights = np.ones(len(examples), np.float32)
    weights[:20] = 2
    weighed = Examples(examples.inputs, examples.targets, weights, examples.row_ids)
    twins = examples.take(np.r_[np.arange(len(examples)), np.arange(20)])
    doubled = Examples(twins.inputs, twins.targets, twins.weights, np.arange(len(twins)))
    settings = {"batch_size": 1000, "epochs": 3, "optimizer": "sgd", "lr": 0.1}
    one, other = fit(spec, weighed, **settings), fit(spec, doubled, **settings)
    for mine, yours in zip(one.module.parameters(), other.module.parameters(), strict=True):
        torch.testing.assert_close(mine, yours, atol=1e-6, rtol=1e-4)


def test_scoring_batches_hold_every_row_once():
    lengths = np.random.default_rng(0).integers(0, 9, 2500)
    batches = scoring_batches(lengths)
    assert sorted(np.concatenate(batches)) == list(range(2500))
    assert scoring_batches(lengths[:0]) == []
