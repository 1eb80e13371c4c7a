"""Products with weights laid out beforehand: as PyTorch's own, whatever the shape."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gristmill.serve.runners import laid_out
from gristmill.serve.runners.laid_out import linear_of

SIZES = st.integers(1, 40)


def drawn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@settings(deadline=None, max_examples=60)
@given(rows=SIZES, width=SIZES, outputs=SIZES, biased=st.booleans())
def test_products_are_those_of_double_precision(rows, width, outputs, biased):
    values, weight = drawn(rows, width), drawn(outputs, width)
    bias = drawn(outputs) if biased else None
    expected = functional.linear(
        values.double(), weight.double(), bias.double() if bias is not None else None
    )
    with torch.inference_mode():
        found = linear_of(weight, bias)(values)
    # Rounding of a sum is bounded by its terms, not by what they add up to (Higham 2002, 3.1).
    terms = functional.linear(
        values.double().abs(),
        weight.double().abs(),
        bias.double().abs() if bias is not None else None,
    )
    assert ((found - expected).abs() <= (width + 1) * 2.0**-24 * terms * 1.01).all()


@pytest.mark.parametrize("shape", [(6, 5, 8), (2, 3, 4, 8)])
def test_values_of_more_dimensions_and_in_any_order(shape):
    weight, bias = drawn(3, 8), drawn(3)
    values = drawn(*shape)
    turned = values.transpose(0, 1)
    with torch.inference_mode():
        for given_values in (values, turned):
            found = linear_of(weight, bias)(given_values)
            torch.testing.assert_close(found, functional.linear(given_values, weight, bias))


def test_a_row_is_the_same_in_any_company():
    weight, values = drawn(24, 48), drawn(37, 48)
    with torch.inference_mode():
        product = linear_of(weight, None)
        together = product(values)
        for rows in (1, 2, 5, 16):
            torch.testing.assert_close(product(values[:rows]), together[:rows], rtol=0, atol=1e-5)


def test_what_onednn_does_not_take_is_multiplied_by_pytorch():
    for dtype in (torch.float64, torch.float16):
        weight, values = drawn(3, 4).to(dtype), drawn(2, 4).to(dtype)
        assert torch.equal(linear_of(weight, None)(values), functional.linear(values, weight))


@pytest.mark.parametrize("error", [None, RuntimeError("another layout"), AttributeError("gone")])
def test_an_operator_that_is_wrong_or_gone_is_not_relied_on(monkeypatch, error):
    def broken(weight, bias):
        if error is not None:
            raise error
        return lambda values: values.new_zeros(len(values), len(weight))

    laid_out._tried.cache_clear()
    weight, bias, values = drawn(3, 4), drawn(3), drawn(2, 4)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(laid_out, "_laid_out", broken)
            found = linear_of(weight, bias)(values)
    finally:
        laid_out._tried.cache_clear()
    assert torch.equal(found, functional.linear(values, weight, bias))
