"""Small models of every kind that must be captured."""

from __future__ import annotations

from collections import namedtuple

import torch
from torch import nn
from torch.nn import functional

WORDS = 13


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 16)
        self.middle = nn.Linear(16, 16)
        self.last = nn.Linear(16, 3)

    def forward(self, x):
        hidden = functional.relu(self.middle(torch.tanh(self.first(x))))
        return self.last(functional.dropout(hidden, 0.3, self.training))


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, stride=2), nn.BatchNorm2d(8)
        self.drop, self.head = nn.Dropout(0.2), nn.Linear(8, 4)

    def forward(self, x):
        x = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        x = functional.max_pool2d(functional.relu(self.norm2(self.conv2(x))), 2)
        return self.head(self.drop(x.mean((2, 3))))


class ResidualBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x)))))
        out += x
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3)
        self.blocks = nn.Sequential(*[ResidualBlock(6) for _ in range(3)])
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        pooled = functional.adaptive_avg_pool2d(self.blocks(self.stem(x)), 1)
        return self.head(torch.flatten(pooled, 1))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()

        def convolutions(inner, outer):
            conv = nn.Conv2d(inner, outer, 3, padding=1)
            return nn.Sequential(conv, nn.GroupNorm(2, outer), nn.SiLU())

        self.down1, self.down2 = convolutions(3, 4), convolutions(4, 8)
        self.bottom, self.up = convolutions(8, 8), nn.ConvTranspose2d(8, 8, 2, 2)
        self.up2, self.up1 = convolutions(16, 8), convolutions(12, 4)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        fine = self.down1(x)
        coarse = self.down2(functional.max_pool2d(fine, 2))
        bottom = self.up(self.bottom(functional.max_pool2d(coarse, 2)))
        out = self.up2(torch.cat([bottom, coarse], 1))
        out = self.up1(torch.cat([functional.interpolate(out, scale_factor=2), fine], 1))
        return self.head(out)


class Encoder(nn.Module):
    """With torch's own transformer layers."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, 8)
        self.positions = nn.Parameter(torch.randn(20, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(8, WORDS)

    def forward(self, ids):
        return self.head(self.encoder(self.words(ids) + self.positions[: ids.shape[1]]))


class GPTBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.qkv = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.out, self.norm2 = nn.Linear(width, width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
            nn.Dropout(0.1),
        )

    def forward(self, x):
        rows, length, width = x.shape
        query, key, value = [
            part.view(rows, length, self.heads, width // self.heads).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).chunk(3, -1)
        ]
        mixed = functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, dropout_p=0.1 if self.training else 0.0
        )
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, length, width))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """Its head is tied to its embedding."""

    def __init__(self):
        super().__init__()
        self.words, self.positions = nn.Embedding(WORDS, 8), nn.Embedding(32, 8)
        self.blocks = nn.ModuleList(GPTBlock(8, 2) for _ in range(3))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, WORDS, bias=False)
        self.head.weight = self.words.weight

    def forward(self, ids):
        x = self.words(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class TwoInputs(nn.Module):
    """And several outputs."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 8), nn.Linear(5, 8)
        self.meet = nn.Bilinear(8, 8, 6)
        self.main, self.other = nn.Linear(6, 2), nn.Linear(6, 3)

    def forward(self, x, y):
        left = torch.relu(self.left(x))
        both = self.meet(left, self.right(y).sigmoid())
        return self.main(both), {"other": self.other(both.tanh()), "left": left}


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, 6)
        self.lstm = nn.LSTM(6, 7, num_layers=2, dropout=0.2, batch_first=True, bidirectional=True)
        self.gru, self.head = nn.GRU(14, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, ids):
        x, state = self.gru(self.lstm(self.words(ids))[0])
        return self.head(x[:, -1]) + self.head(state[0])


class BranchingBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.yes, self.no, self.drop = nn.Linear(6, 6), nn.Linear(6, 6), nn.Dropout(0.2)

    def forward(self, x):
        if x.sum() > 0:
            return self.drop(self.yes(x)) + x
        return self.drop(self.no(x)) - x


class Branching(nn.Module):
    """Its blocks branch on their data."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(4, 6)
        self.blocks = nn.ModuleList(BranchingBlock() for _ in range(4))
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x) * 1.5
        return self.head(x)


class BranchBetween(nn.Module):
    """Its own forward branches on data."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        x = self.first(x)
        if x.sum() > 0:
            x = x * 2
        return self.last(x)


class RootMeanSquare(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        scale = torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * (x * scale).to(x.dtype)


class Rotary(nn.Module):
    def __init__(self, width):
        super().__init__()
        frequency = 1 / (10000 ** (torch.arange(0, width, 2).float() / width))
        self.register_buffer("frequency", frequency, persistent=False)

    @torch.no_grad()
    def forward(self, x, positions):
        angle = (self.frequency[None, :, None] @ positions[:, None, :].float()).transpose(1, 2)
        angle = torch.cat([angle, angle], -1)
        return angle.cos().to(x.dtype), angle.sin().to(x.dtype)


class LlamaBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = RootMeanSquare(width), RootMeanSquare(width)
        self.query, self.out = [nn.Linear(width, width, bias=False) for _ in range(2)]
        self.key, self.value = [nn.Linear(width, width // 2, bias=False) for _ in range(2)]
        self.gate, self.up = [nn.Linear(width, 2 * width, bias=False) for _ in range(2)]
        self.down = nn.Linear(2 * width, width, bias=False)

    def forward(self, x, mask=None, rotation=None):
        rows, length, width = x.shape
        size = width // self.heads
        cos, sin = (part[:, None] for part in rotation)

        def split(part):
            return part.view(rows, length, -1, size).transpose(1, 2)

        def rotated(part):
            turned = torch.cat([-part[..., size // 2 :], part[..., : size // 2]], -1)
            return part * cos + turned * sin

        y = self.norm1(x)
        query = rotated(split(self.query(y)))
        key = rotated(split(self.key(y))).repeat_interleave(2, 1)
        value = split(self.value(y)).repeat_interleave(2, 1)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, length, width))
        y = self.norm2(x)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


class Llama(nn.Module):
    """Grouped keys, rotary embedding, keyword arguments, a dict with a number as output."""

    def __init__(self):
        super().__init__()
        self.words, self.rotary = nn.Embedding(WORDS, 8), Rotary(4)
        self.blocks = nn.ModuleList(LlamaBlock(8, 2) for _ in range(3))
        self.norm, self.head = RootMeanSquare(8), nn.Linear(8, WORDS, bias=False)

    def forward(self, ids):
        length = ids.shape[1]
        x = self.words(ids)
        rotation = self.rotary(x, torch.arange(length, device=ids.device)[None])
        mask = torch.full((length, length), float("-inf"), device=ids.device).triu(1)[None, None]
        for block in self.blocks:
            x = block(x, mask=mask, rotation=rotation)
        return {"logits": self.head(self.norm(x)), "version": 3}


class T5Attention(nn.Module):
    def __init__(self, width, heads, relative):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = [
            nn.Linear(width, width, bias=False) for _ in range(4)
        ]
        self.relative = nn.Embedding(8, heads) if relative else None

    def forward(self, x, memory, bias=None):
        rows, length, width = x.shape

        def split(part):
            return part.view(rows, -1, self.heads, width // self.heads).transpose(1, 2)

        query, key, value = split(self.query(x)), split(self.key(memory)), split(self.value(memory))
        if bias is None:
            bias = self.bias(length, memory.shape[1], x)
        weights = (query @ key.transpose(-1, -2) + bias).softmax(-1)
        weights = functional.dropout(weights, 0.1, self.training)
        return self.out((weights @ value).transpose(1, 2).reshape(rows, length, width)), bias

    def bias(self, length, other, x):
        if self.relative is None:
            return torch.zeros(1, self.heads, length, other, device=x.device, dtype=x.dtype)
        distance = (
            torch.arange(other, device=x.device)[None]
            - torch.arange(length, device=x.device)[:, None]
        )
        return self.relative(distance.clamp(-4, 3) + 4).permute(2, 0, 1)[None]


class T5Block(nn.Module):
    def __init__(self, width, heads, cross, relative):
        super().__init__()
        self.own = T5Attention(width, heads, relative)
        self.cross = T5Attention(width, heads, False) if cross else None
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.feed = nn.Linear(width, width)

    def forward(self, x, bias=None, memory=None):
        y = self.norm1(x)
        y, bias = self.own(y, y, bias)
        x = x + y
        if self.cross is not None:
            x = x + self.cross(self.norm2(x), memory)[0]
        if torch.isinf(x).any():
            x = x.clamp(-1e4, 1e4)
        return x + self.feed(x).relu(), bias


class T5(nn.Module):
    """Two inputs, a bias that the first block makes for all, a tied head, branches on data."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, 8)
        self.encoder = nn.ModuleList(T5Block(8, 2, False, at == 0) for at in range(3))
        self.decoder = nn.ModuleList(T5Block(8, 2, True, at == 0) for at in range(3))
        self.head, self.drop = nn.Linear(8, WORDS, bias=False), nn.Dropout(0.1)
        self.head.weight = self.words.weight

    def forward(self, source, target):
        x, bias = self.drop(self.words(source)), None
        for block in self.encoder:
            x, bias = block(x, bias=bias)
        memory = self.drop(x)
        x, bias = self.drop(self.words(target)), None
        for block in self.decoder:
            x, bias = block(x, bias=bias, memory=memory)
        return self.head(x * 8**-0.5), memory


class Repeating(nn.Module):
    """Calls one module five times, and reads one value as often."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(4, 6), nn.Linear(6, 2)
        self.block = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Dropout(0.1))

    def forward(self, x):
        x = start = self.stem(x)
        for _ in range(5):
            x = self.block(x) + start
        return self.head(x)


class NormedBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.norm = nn.Linear(6, 6), nn.BatchNorm1d(6)

    def forward(self, x):
        return x + torch.relu(self.norm(self.layer(x)))


class Aliased(nn.Module):
    """One block hangs in it under two names."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(4, 6), nn.Linear(6, 2)
        self.one, self.two = NormedBlock(), NormedBlock()
        self.again = self.one

    def forward(self, x):
        return self.head(self.one(self.two(self.again(self.one(self.stem(x))))))


Outputs = namedtuple("Outputs", "logits hidden rows")


class Wrapped(nn.Module):
    """Takes any arguments, returns a named tuple, changes values and buffers in place."""

    def __init__(self):
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)
        self.register_buffer("calls", torch.zeros(()))
        self.middle.requires_grad_(False)

    def forward(self, *args):
        hidden = self.first(args[0])
        hidden[:, 0] = 1.5
        if self.training:
            self.calls.add_(1)
        after = self.middle(hidden)
        after += hidden
        return Outputs(self.last(after.relu_()), [hidden * 2], args[0].shape[0])


class SkippingBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.drop = nn.Linear(6, 6), nn.Dropout(0.3)

    def forward(self, x):
        if self.training and torch.rand(()) < 0.5:
            return x
        return x + self.drop(self.layer(x))


class Skipping(nn.Module):
    """Stochastic depth: how much is drawn depends on what was drawn."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(4, 6), nn.Linear(6, 2)
        self.blocks = nn.ModuleList(SkippingBlock() for _ in range(3))

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sign()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (ctx.saved_tensors[0].abs() < 1)


class OwnBackward(nn.Module):
    """Defines a backward, which an export would lose."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.last(Straight.apply(self.first(x)))


class Translator(nn.Module):
    """torch's own transformer looks at the data of its masks."""

    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(WORDS, 8), nn.Linear(8, WORDS)
        self.both = nn.Transformer(8, 2, 2, 2, 16, batch_first=True)

    def forward(self, source, target):
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        return self.head(self.both(self.words(source), self.words(target), tgt_mask=mask))


def sequence():
    return nn.Sequential(
        nn.Linear(4, 8),
        nn.Sequential(nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(0.3)),
        nn.Linear(8, 6),
        nn.Tanh(),
        nn.Linear(6, 3),
    )


def vectors(*widths):
    return lambda rows, length: tuple(torch.randn(rows, width) for width in widths)


def images(rows, length):
    return (torch.randn(rows, 3, 8, 8),)


def sentences(*longer):
    def make(rows, length):
        return tuple(torch.randint(0, WORDS, (rows, length + more)) for more in longer or (0,))

    return make


MODELS = {
    "sequence": (sequence, vectors(4)),
    "perceptron": (Perceptron, vectors(6)),
    "convnet": (ConvNet, lambda rows, length: (torch.randn(rows, 3, 12 + length, 12 + length),)),
    "resnet": (ResNet, images),
    "unet": (UNet, images),
    "encoder": (Encoder, sentences()),
    "gpt": (GPT, sentences()),
    "two_inputs": (TwoInputs, vectors(4, 5)),
    "recurrent": (Recurrent, sentences()),
    "branching": (Branching, vectors(4)),
    "branch_between": (BranchBetween, vectors(4)),
    "llama": (Llama, sentences()),
    "t5": (T5, sentences(0, 2)),
    "repeating": (Repeating, vectors(4)),
    "aliased": (Aliased, vectors(4)),
    "wrapped": (Wrapped, vectors(4)),
    "skipping": (Skipping, vectors(4)),
    "own_backward": (OwnBackward, vectors(4)),
    "translator": (Translator, sentences(0, 1)),
}
"""Name to (factory, maker of inputs for some rows and length)."""
