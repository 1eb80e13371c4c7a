"""A small GPT: pre-norm blocks with causal attention (Radford et al. 2019, section 2.3).

Suffixes name the axes: B batch, L length, D width, H heads, V vocabulary.
"""

# ruff: noqa: N803, N806

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)

_SCALE = 0.02


class Attention(nn.Module):
    """Every token looks at itself and at those before it."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BLD: Tensor) -> Tensor:
        parts = self.query_key_value(x_BLD).unflatten(-1, (3, self.heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        seen_BHLD = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        joined_BLD: Tensor = self.dropout(self.project(seen_BHLD.transpose(1, 2).flatten(-2)))
        return joined_BLD


class Block(nn.Module):
    """Attention and a feed-forward network, each added to what it reads."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.norm_feed = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BLD: Tensor) -> Tensor:
        x_BLD = x_BLD + self.attention(self.norm_attention(x_BLD))
        wide = F.gelu(self.widen(self.norm_feed(x_BLD)))
        out_BLD: Tensor = x_BLD + self.dropout(self.narrow(wide))
        return out_BLD


class GPT(nn.Module):
    """Tells the next token at every place: ids int64[batch, length] to logits[..., vocabulary].

    Args:
        vocabulary: number of tokens.
        length: most tokens it sees at once.
        width: of every token's vector, a multiple of `heads`.
        depth: blocks.
        heads: of attention.
        dropout: share of features dropped in training.
        tied: whether one matrix turns tokens into vectors and vectors into logits.
    """

    def __init__(
        self,
        vocabulary: int = 256,
        length: int = 128,
        width: int = 256,
        depth: int = 8,
        heads: int = 8,
        dropout: float = 0.1,
        tied: bool = True,
    ) -> None:
        super().__init__()
        self.length = length
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(length, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self._draw_weights(depth)
        if tied:
            self.head.weight = self.tokens.weight

    def forward(self, ids_BL: Tensor) -> Tensor:
        """Return logits float32[batch, length, vocabulary] of the token after each."""
        places_L = torch.arange(ids_BL.shape[1], device=ids_BL.device)
        x_BLD = self.dropout(self.tokens(ids_BL) + self.places(places_L))
        for block in self.blocks:
            x_BLD = block(x_BLD)
        logits_BLV: Tensor = self.head(self.norm(x_BLD))
        return logits_BLV

    def _draw_weights(self, depth: int) -> None:
        """Draw every matrix from N(0, 0.02), those that end a branch smaller the more there are."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                ends_branch = name.endswith(("project", "narrow"))
                scale = _SCALE / math.sqrt(2 * depth) if ends_branch else _SCALE
                nn.init.normal_(module.weight, 0.0, scale)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)


@torch.no_grad()
def write(model: GPT, start: bytes, count: int, seed: int, temperature: float = 0.8) -> bytes:
    """Let the model go on after `start`, byte by byte; the same bytes for the same seed."""
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    ids = list(start)
    for _ in range(count):
        logits_V = model(torch.tensor([ids[-model.length :]]))[0, -1]
        chances_V = torch.softmax(logits_V / temperature, dim=0)
        ids.append(int(torch.multinomial(chances_V, 1, generator=generator)))
    return bytes(ids)
