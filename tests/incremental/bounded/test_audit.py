"""Errors of outputs."""

import math

import pytest
import torch

from gristmill.incremental.bounded.audit import Audit, agreement, decisive_error, relative_error
from gristmill.incremental.bounded.audits import Audits


def test_the_largest_relative_error_of_all_outputs():
    full = (torch.tensor([[3.0, 4.0]]), torch.ones(1, 1, 2, 2))
    found = (torch.tensor([[3.0, 4.5]]), torch.ones(1, 1, 2, 2) * 0.8)
    assert relative_error(found, full) == pytest.approx(0.2)
    assert relative_error(full, full) == 0.0
    assert relative_error((), ()) == 0.0


@pytest.mark.parametrize(
    ("found", "full", "error"),
    [
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([0.0, 1.0], [0.0, 0.0], math.inf),
        ([math.nan, 2.0], [math.nan, 2.0], 0.0),
        ([math.inf, 2.0], [math.inf, 2.0], 0.0),
        ([-math.inf, 0.0], [math.inf, 0.0], 2.0),
    ],
)
def test_nothing_and_what_is_no_number(found, full, error):
    assert relative_error((torch.tensor([found]),), (torch.tensor([full]),)) == error


def test_the_error_that_decides_which_number_is_the_largest():
    clear, tie = torch.tensor([[4.0, 3.0]]), torch.tensor([[1.0, 5.0, 5.0]])
    assert decisive_error((clear,)) == pytest.approx(1.0 / 5.0)
    assert decisive_error((clear, tie)) == 0.0
    # Of noise as large, about one in six goes further than that: a spread to one side.
    vector = torch.linspace(0.0, 1.0, 1000)[None]
    vector[0, 0] = 1.1
    noise = torch.randn((4000, 1000), generator=torch.Generator().manual_seed(0))
    noise *= decisive_error((vector,)) * vector.norm() / noise.norm(dim=1, keepdim=True)
    other = (vector + noise)[:, [0, 999]]
    assert (other[:, 1] > other[:, 0]).double().mean().item() == pytest.approx(0.159, abs=0.02)


def test_no_error_decides_what_has_no_largest_number():
    maps, one = torch.ones(1, 2, 3, 3) > 0, torch.ones(1, 1)
    assert decisive_error((maps, one, torch.zeros(1, 4))) == math.inf
    assert decisive_error(()) == math.inf


def test_agreement_is_of_vectors():
    one, other = torch.tensor([[1.0, 2.0, 0.0]]), torch.tensor([[0.0, 0.1, 0.0]])
    assert agreement((one,), (other,)) is True
    assert agreement((one, one), (other, -other)) is False
    assert (
        agreement((torch.zeros(1, 2, 3, 3), one[:, :1]), (torch.ones(1, 2, 3, 3), one[:, 1:2]))
        is None
    )


def test_what_all_audits_found():
    audits = Audits()
    assert (len(audits), audits.last, audits.worst, audits.mean, audits.agreement) == (
        0, None, 0.0, 0.0, None,
    )  # fmt: skip
    for number, (error, agreed) in enumerate([(0.1, True), (0.3, None), (0.2, False)]):
        audits.add(Audit(number, error, agreed, 1.0))
    assert len(audits) == 3
    assert audits.last == Audit(2, 0.2, False, 1.0)
    assert audits.worst == 0.3
    assert audits.mean == pytest.approx(0.2)
    assert audits.agreement == 0.5
    for number in range(1500):
        audits.add(Audit(number, 0.0, None, 1.0))
    assert len(audits) == 1503
    assert len(list(audits)) == 1000
