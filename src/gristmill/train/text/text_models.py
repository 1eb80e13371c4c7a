"""Text classifiers over token ids, from a linear bag to a small transformer.

Every model maps int64 ids `[batch, length]`, 0 = padding on the right, to logits float32
`[batch, classes]`, and gives a row the same answer (up to rounding) whatever its padding. They are
written without data-dependent control flow, so that `torch.export` captures them with a dynamic
batch and length.

Suffixes name the axes: B batch, L length, D embedding, C channels, H heads, K classes.
"""

# ruff: noqa: N803, N806

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)


def _counts(ids_BL: Tensor) -> Tensor:
    """Return the number of tokens of each row, at least 1: float32[batch, 1]."""
    return (ids_BL != 0).sum(dim=1, keepdim=True).clamp(min=1).to(torch.float32)


def _embedding(buckets: int, dim: int, scale: float) -> nn.Embedding:
    """Return an embedding of ids 0..buckets whose row 0, the padding, is zero and stays so."""
    table = nn.Embedding(buckets + 1, dim, padding_idx=0)
    with torch.no_grad():
        table.weight.normal_(0.0, scale) if scale else table.weight.zero_()
        table.weight[0] = 0.0
    return table


class BagOfNgrams(nn.Module):
    """A linear model of the n-grams of a text: `sum(weights[ids]) / sqrt(count) + bias`.

    Dividing by the square root of the count keeps long texts from shouting, without making one
    decisive token vanish among many as a mean would. Weights begin at zero, so that training is a
    convex problem from a neutral start.

    Args:
        buckets: largest id.
        classes: number of classes k.
    """

    def __init__(self, buckets: int, classes: int) -> None:
        super().__init__()
        self.weights = _embedding(buckets, classes, 0.0)
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, ids_BL: Tensor) -> Tensor:
        """Return logits float32[batch, classes]."""
        total_BK: Tensor = self.weights(ids_BL).sum(dim=1)
        return total_BK / _counts(ids_BL).sqrt() + self.bias


class EmbeddingMLP(nn.Module):
    """The mean of the tokens' embeddings, then one hidden layer (Iyyer et al. 2015, DAN).

    Args:
        buckets: largest id.
        classes: number of classes k.
        dim: width of the embedding.
        hidden: width of the hidden layer.
        dropout: share of hidden units (and of pooled features) dropped in training.
    """

    def __init__(
        self, buckets: int, classes: int, dim: int = 32, hidden: int = 64, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.embedding = _embedding(buckets, dim, 0.1)
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(dim, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )

    def forward(self, ids_BL: Tensor) -> Tensor:
        """Return logits float32[batch, classes]."""
        mean_BD = self.embedding(ids_BL).sum(dim=1) / _counts(ids_BL)
        logits: Tensor = self.head(mean_BD)
        return logits


class TextCNN(nn.Module):
    """Convolutions of several widths, each followed by its maximum over the text (Kim 2014).

    Args:
        buckets: largest id.
        classes: number of classes k.
        dim: width of the embedding.
        channels: filters of each width.
        widths: how many neighbouring tokens a filter sees.
        dropout: share of pooled features dropped in training.
    """

    def __init__(
        self,
        buckets: int,
        classes: int,
        dim: int = 32,
        channels: int = 32,
        widths: Sequence[int] = (1, 2, 3),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.embedding = _embedding(buckets, dim, 0.1)
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, channels, width) for width in widths)
        self.widths = tuple(widths)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(channels * len(self.widths), classes)

    def forward(self, ids_BL: Tensor) -> Tensor:
        """Return logits float32[batch, classes]."""
        text_BDL = self.embedding(ids_BL).transpose(1, 2)
        mask_B1L = (ids_BL != 0).to(torch.float32).unsqueeze(1)
        pooled = [
            self._peak(convolution, width, text_BDL, mask_B1L)
            for convolution, width in zip(self.convolutions, self.widths, strict=True)
        ]
        logits: Tensor = self.output(self.dropout(torch.cat(pooled, dim=1)))
        return logits

    @staticmethod
    def _peak(convolution: nn.Module, width: int, text_BDL: Tensor, mask_B1L: Tensor) -> Tensor:
        """Return the maximum over windows that begin at a token: float32[batch, channels].

        After the ReLU nothing is below zero, so a product with the mask leaves the maximum over the
        tokens, and 0 for a row that has none.
        """
        seen_BCL = F.relu(convolution(F.pad(text_BDL, (0, width - 1))))
        return (seen_BCL * mask_B1L).amax(dim=2)


class _EncoderLayer(nn.Module):
    """One pre-norm layer of self-attention and feed-forward (Xiong et al. 2020)."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.project = nn.Linear(dim, dim)
        self.norm_feed = nn.LayerNorm(dim)
        self.feed = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BLD: Tensor, keys_B11L: Tensor) -> Tensor:
        x_BLD = x_BLD + self.dropout(self._attend(self.norm_attention(x_BLD), keys_B11L))
        out_BLD: Tensor = x_BLD + self.dropout(self.feed(self.norm_feed(x_BLD)))
        return out_BLD

    def _attend(self, x_BLD: Tensor, keys_B11L: Tensor) -> Tensor:
        parts = self.query_key_value(x_BLD).unflatten(-1, (3, self.heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=keys_B11L)
        joined: Tensor = self.project(seen.transpose(1, 2).flatten(-2))
        return joined


class TextTransformer(nn.Module):
    """A small transformer encoder with learned positions and a mean over the tokens.

    Args:
        buckets: largest id.
        classes: number of classes k.
        dim: width; a multiple of `heads`.
        heads: attention heads.
        layers: encoder layers.
        max_length: positions with an embedding of their own; later tokens share the last one.
        dropout: share of features dropped in training.
    """

    def __init__(
        self,
        buckets: int,
        classes: int,
        dim: int = 32,
        heads: int = 4,
        layers: int = 2,
        max_length: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.embedding = _embedding(buckets, dim, 0.1)
        self.positions = nn.Embedding(max_length, dim)
        nn.init.normal_(self.positions.weight, 0.0, 0.02)
        self.layers = nn.ModuleList(_EncoderLayer(dim, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(dim, classes)
        self.last_position = max_length - 1

    def forward(self, ids_BL: Tensor) -> Tensor:
        """Return logits float32[batch, classes]."""
        places_L = torch.arange(ids_BL.shape[1], device=ids_BL.device)
        x_BLD = self.embedding(ids_BL) + self.positions(places_L.clamp(max=self.last_position))
        x_BLD = self.dropout(x_BLD)
        # The first place is open even in an empty text: attention over no keys at all is NaN.
        keys_B11L = ((ids_BL != 0) | (places_L == 0))[:, None, None, :]
        for layer in self.layers:
            x_BLD = layer(x_BLD, keys_B11L)
        mask_BL1 = (ids_BL != 0).to(torch.float32).unsqueeze(2)
        mean_BD = (self.norm(x_BLD) * mask_BL1).sum(dim=1) / _counts(ids_BL)
        logits: Tensor = self.output(self.dropout(mean_BD))
        return logits
