"""Small models of every kind that must be captured, and helpers that run them in stages."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils import _pytree as pytree

from gristmill.train.draws import KeyedDraws, seeded
from gristmill.train.graphs.capture import capture

# ruff: noqa: E731


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 16)
        self.b = nn.Linear(16, 16)
        self.c = nn.Linear(16, 3)

    def forward(self, x):
        return self.c(
            functional.dropout(functional.relu(self.b(torch.tanh(self.a(x)))), 0.3, self.training)
        )


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(3, 8, 3, padding=1)
        self.b1 = nn.BatchNorm2d(8)
        self.c2 = nn.Conv2d(8, 8, 3, stride=2)
        self.b2 = nn.BatchNorm2d(8)
        self.f = nn.Linear(8, 4)
        self.d = nn.Dropout(0.2)

    def forward(self, x):
        x = functional.relu(self.b1(self.c1(x)), inplace=True)
        x = functional.max_pool2d(functional.relu(self.b2(self.c2(x))), 2)
        return self.f(self.d(x.mean((2, 3))))


class Res(nn.Module):
    class B(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.c1 = nn.Conv2d(c, c, 3, padding=1, bias=False)
            self.b1 = nn.BatchNorm2d(c)
            self.c2 = nn.Conv2d(c, c, 3, padding=1, bias=False)
            self.b2 = nn.BatchNorm2d(c)
            self.r = nn.ReLU(inplace=True)

        def forward(self, x):
            y = self.r(self.b1(self.c1(x)))
            y = self.b2(self.c2(y))
            y += x
            return self.r(y)

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3)
        self.blocks = nn.Sequential(*[Res.B(6) for _ in range(3)])
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        x = self.blocks(self.stem(x))
        return self.fc(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        c = lambda i, o: nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.GroupNorm(2, o), nn.SiLU())
        self.d1 = c(3, 4)
        self.d2 = c(4, 8)
        self.d3 = c(8, 8)
        self.up = nn.ConvTranspose2d(8, 8, 2, 2)
        self.u2 = c(16, 8)
        self.u1 = c(12, 4)
        self.o = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        a = self.d1(x)
        b = self.d2(functional.max_pool2d(a, 2))
        c = self.d3(functional.max_pool2d(b, 2))
        y = self.u2(torch.cat([self.up(c), b], 1))
        y = self.u1(torch.cat([functional.interpolate(y, scale_factor=2), a], 1))
        return self.o(y)


class TF(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(13, 8)
        self.pos = nn.Parameter(torch.randn(20, 8))
        self.enc = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True), 2
        )
        self.h = nn.Linear(8, 13)

    def forward(self, ids):
        return self.h(self.enc(self.e(ids) + self.pos[: ids.shape[1]]))


class GPT(nn.Module):
    class B(nn.Module):
        def __init__(self, d, h):
            super().__init__()
            self.h = h
            self.l1 = nn.LayerNorm(d)
            self.qkv = nn.Linear(d, 3 * d)
            self.p = nn.Linear(d, d)
            self.l2 = nn.LayerNorm(d)
            self.m = nn.Sequential(
                nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d), nn.Dropout(0.1)
            )

        def forward(self, x):
            b, t, d = x.shape
            q, k, v = [
                z.view(b, t, self.h, d // self.h).transpose(1, 2)
                for z in self.qkv(self.l1(x)).chunk(3, -1)
            ]
            y = functional.scaled_dot_product_attention(
                q, k, v, is_causal=True, dropout_p=0.1 if self.training else 0.0
            )
            x = x + self.p(y.transpose(1, 2).reshape(b, t, d))
            return x + self.m(self.l2(x))

    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(13, 8)
        self.pe = nn.Embedding(32, 8)
        self.bs = nn.ModuleList(GPT.B(8, 2) for _ in range(3))
        self.n = nn.LayerNorm(8)
        self.head = nn.Linear(8, 13, bias=False)
        self.head.weight = self.e.weight

    def forward(self, ids):
        t = ids.shape[1]
        x = self.e(ids) + self.pe(torch.arange(t, device=ids.device))
        for k in self.bs:
            x = k(x)
        return self.head(self.n(x))


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 8)
        self.b = nn.Linear(5, 8)
        self.c = nn.Bilinear(8, 8, 6)
        self.d = nn.Linear(6, 2)
        self.e = nn.Linear(6, 3)

    def forward(self, x, y):
        u = torch.relu(self.a(x))
        v = self.b(y).sigmoid()
        w = self.c(u, v)
        return self.d(w), {"aux": self.e(w.tanh()), "u": u}


class LSTMM(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(13, 6)
        self.r = nn.LSTM(6, 7, num_layers=2, dropout=0.2, batch_first=True, bidirectional=True)
        self.g = nn.GRU(14, 5, batch_first=True)
        self.h = nn.Linear(5, 3)

    def forward(self, ids):
        x, _ = self.r(self.e(ids))
        x, h = self.g(x)
        return self.h(x[:, -1]) + self.h(h[0])


class Branch(nn.Module):
    class B(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(6, 6)
            self.b = nn.Linear(6, 6)
            self.d = nn.Dropout(0.2)

        def forward(self, x):
            if x.sum() > 0:
                return self.d(self.a(x)) + x
            return self.d(self.b(x)) - x

    def __init__(self):
        super().__init__()
        self.i = nn.Linear(4, 6)
        self.bs = nn.ModuleList(Branch.B() for _ in range(4))
        self.o = nn.Linear(6, 2)

    def forward(self, x):
        x = self.i(x)
        for b in self.bs:
            x = b(x) * 1.5
        return self.o(x)


class Glue(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4)

    def forward(self, x):
        x = self.a(x)
        if x.sum() > 0:
            x = x * 2
        return self.b(x)


class Llama(nn.Module):
    class RMS(nn.Module):
        def __init__(self, d):
            super().__init__()
            self.w = nn.Parameter(torch.ones(d))

        def forward(self, x):
            return self.w * (x * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-6)).to(
                x.dtype
            )

    class Rot(nn.Module):
        def __init__(self, d):
            super().__init__()
            self.register_buffer(
                "inv", 1 / (10000 ** (torch.arange(0, d, 2).float() / d)), persistent=False
            )

        @torch.no_grad()
        def forward(self, x, pos):
            f = (self.inv[None, :, None] @ pos[:, None, :].float()).transpose(1, 2)
            e = torch.cat([f, f], -1)
            return e.cos().to(x.dtype), e.sin().to(x.dtype)

    class B(nn.Module):
        def __init__(self, d, h):
            super().__init__()
            self.h = h
            self.n1 = Llama.RMS(d)
            self.n2 = Llama.RMS(d)
            self.q = nn.Linear(d, d, bias=False)
            self.k = nn.Linear(d, d // 2, bias=False)
            self.v = nn.Linear(d, d // 2, bias=False)
            self.o = nn.Linear(d, d, bias=False)
            self.g = nn.Linear(d, 2 * d, bias=False)
            self.u = nn.Linear(d, 2 * d, bias=False)
            self.dn = nn.Linear(2 * d, d, bias=False)

        def forward(self, x, mask=None, position_embeddings=None):
            b, t, d = x.shape
            c, sn = position_embeddings
            y = self.n1(x)
            hd = d // self.h
            q = self.q(y).view(b, t, -1, hd).transpose(1, 2)
            k = self.k(y).view(b, t, -1, hd).transpose(1, 2)
            v = self.v(y).view(b, t, -1, hd).transpose(1, 2)
            rot = lambda z: torch.cat([-z[..., hd // 2 :], z[..., : hd // 2]], -1)
            c, sn = c[:, None], sn[:, None]
            q = q * c + rot(q) * sn
            k = k * c + rot(k) * sn
            k = k.repeat_interleave(2, 1)
            v = v.repeat_interleave(2, 1)
            y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            x = x + self.o(y.transpose(1, 2).reshape(b, t, d))
            y = self.n2(x)
            return x + self.dn(functional.silu(self.g(y)) * self.u(y))

    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(13, 8)
        self.rot = Llama.Rot(4)
        self.bs = nn.ModuleList(Llama.B(8, 2) for _ in range(3))
        self.n = Llama.RMS(8)
        self.head = nn.Linear(8, 13, bias=False)

    def forward(self, ids):
        t = ids.shape[1]
        x = self.e(ids)
        pos = torch.arange(t, device=ids.device)[None]
        pe = self.rot(x, pos)
        mask = torch.full((t, t), float("-inf"), device=ids.device).triu(1)[None, None]
        for k in self.bs:
            x = k(x, mask=mask, position_embeddings=pe)
        return {"logits": self.head(self.n(x)), "n": 3}


class T5(nn.Module):
    class Att(nn.Module):
        def __init__(self, d, h, rel):
            super().__init__()
            self.h = h
            self.q, self.k, self.v, self.o = [nn.Linear(d, d, bias=False) for _ in range(4)]
            if rel:
                self.rel = nn.Embedding(8, h)
            self.has = rel

        def forward(self, x, m, bias=None):
            b, t, d = x.shape
            u = m.shape[1]
            sh = lambda z: z.view(b, -1, self.h, d // self.h).transpose(1, 2)
            q, k, v = sh(self.q(x)), sh(self.k(m)), sh(self.v(m))
            a = q @ k.transpose(-1, -2)
            if bias is None:
                if self.has:
                    r = (
                        torch.arange(u, device=x.device)[None]
                        - torch.arange(t, device=x.device)[:, None]
                    ).clamp(-4, 3) + 4
                    bias = self.rel(r).permute(2, 0, 1)[None]
                else:
                    bias = torch.zeros(1, self.h, t, u, device=x.device, dtype=x.dtype)
            a = functional.dropout((a + bias).softmax(-1), 0.1, self.training)
            return self.o((a @ v).transpose(1, 2).reshape(b, t, d)), bias

    class B(nn.Module):
        def __init__(self, d, h, dec, rel):
            super().__init__()
            self.sa = T5.Att(d, h, rel)
            self.ca = T5.Att(d, h, False) if dec else None
            self.n = nn.LayerNorm(d)
            self.n2 = nn.LayerNorm(d)
            self.w = nn.Linear(d, d)

        def forward(self, x, bias=None, mem=None):
            y = self.n(x)
            y, bias = self.sa(y, y, bias)
            x = x + y
            if self.ca is not None:
                x = x + self.ca(self.n2(x), mem)[0]
            if torch.isinf(x).any():
                x = x.clamp(-1e4, 1e4)
            return x + self.w(x).relu(), bias

    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(13, 8)
        self.enc = nn.ModuleList(T5.B(8, 2, False, i == 0) for i in range(3))
        self.dec = nn.ModuleList(T5.B(8, 2, True, i == 0) for i in range(3))
        self.h = nn.Linear(8, 13, bias=False)
        self.h.weight = self.e.weight
        self.dr = nn.Dropout(0.1)

    def forward(self, src, tgt):
        x = self.dr(self.e(src))
        bias = None
        for b in self.enc:
            x, bias = b(x, bias=bias)
        mem = self.dr(x)
        x = self.dr(self.e(tgt))
        bias = None
        for b in self.dec:
            x, bias = b(x, bias=bias, mem=mem)
        return self.h(x * 8**-0.5), mem


class Albert(nn.Module):
    def __init__(self):
        super().__init__()
        self.i = nn.Linear(4, 6)
        self.b = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Dropout(0.1))
        self.o = nn.Linear(6, 2)

    def forward(self, x):
        x = self.i(x)
        z = x
        for _ in range(5):
            x = self.b(x) + z
        return self.o(x)


def seq():
    return nn.Sequential(
        nn.Linear(4, 8),
        nn.Sequential(nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(0.3)),
        nn.Linear(8, 6),
        nn.Tanh(),
        nn.Linear(6, 3),
    )


ids = lambda b, t: torch.randint(0, 13, (b, t))
MODELS = {
    "seq": (seq, lambda b, t: (torch.randn(b, 4),)),
    "mlp": (MLP, lambda b, t: (torch.randn(b, 6),)),
    "cnn": (CNN, lambda b, t: (torch.randn(b, 3, 12 + t, 12 + t),)),
    "res": (Res, lambda b, t: (torch.randn(b, 3, 8, 8),)),
    "unet": (UNet, lambda b, t: (torch.randn(b, 3, 8, 8),)),
    "tf": (TF, lambda b, t: (ids(b, t),)),
    "gpt": (GPT, lambda b, t: (ids(b, t),)),
    "two": (Two, lambda b, t: (torch.randn(b, 4), torch.randn(b, 5))),
    "lstm": (LSTMM, lambda b, t: (ids(b, t),)),
    "branch": (Branch, lambda b, t: (torch.randn(b, 4),)),
    "glue": (Glue, lambda b, t: (torch.randn(b, 4),)),
    "llama": (Llama, lambda b, t: (ids(b, t),)),
    "t5": (T5, lambda b, t: (ids(b, t), ids(b, t + 2))),
    "albert": (Albert, lambda b, t: (torch.randn(b, 4),)),
}


@dataclass
class Case:
    """A captured model, its factory and a maker of inputs."""

    name: str
    factory: object
    inputs: object
    graph: object


@cache
def captured(name, way=None):
    factory, inputs = MODELS[name]
    ways = {"ways": (way,)} if way else {}
    graph = capture(seeded(factory, 3), inputs(4, 5), **ways)
    return Case(name, factory, inputs, graph)


def bound_stages(case, cuts, seed=3):
    edges = [0, *sorted(cuts), len(case.graph.layers)]
    model = seeded(case.factory, seed)
    held = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    stages = [case.graph.stage(first, last) for first, last in itertools.pairwise(edges)]
    for stage in stages:
        specs = (*stage.parameters, *stage.buffers)
        stage.bind({spec.name: held[spec.name].detach().clone() for spec in specs})
    return model, stages


def run_stages(stages, inputs, training):
    """Run forward as workers would: each value copied on its way. Returns output and records."""
    values = {f"input.{at}": tensor for at, tensor in enumerate(inputs)}
    records = []
    for stage in stages:
        taken = {}
        for name in stage.reads:
            value = values[name]
            graded = torch.is_grad_enabled() and value.requires_grad
            taken[name] = value.detach().clone().requires_grad_(graded)
        with KeyedDraws(7, "test", first=stage.first_draw) as draws:
            made = stage(taken, training=training)
        if training:
            assert draws.count == stage.first_draw + stage.draws
        assert set(made) == set(stage.writes)
        values |= made
        records.append((taken, made))
    return values["output"], records


def run_backward(records, loss):
    grads = {}
    for taken, made in reversed(records):
        roots = [(loss, None)] if "output" in made else []
        roots += [(value, grads[name]) for name, value in made.items() if name in grads]
        if roots:
            torch.autograd.backward(*map(list, zip(*roots, strict=True)))
        grads |= {name: v.grad for name, v in taken.items() if v.is_leaf and v.grad is not None}


def total(output):
    """A loss that gives every element of every tensor in `output` another gradient."""
    tensors = [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor)]
    return sum((tensor * (at + 1)).sin().sum() for at, tensor in enumerate(tensors))


def assert_same(found, expected):
    assert pytree.tree_structure(found) == pytree.tree_structure(expected)
    for one, other in zip(*map(pytree.tree_leaves, (found, expected)), strict=True):
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def assert_exact(case, cuts, rows, length, training, moved=False):
    """Two micro-batches forward and backward: outputs, gradients and buffers, bit for bit."""
    model, stages = bound_stages(case, cuts)
    model.train(training)
    for micro in range(2):
        torch.manual_seed(micro)
        inputs = case.inputs(rows, length)
        with KeyedDraws(7, "test"):
            expected = model(*inputs)
        total(expected).backward()
        output, records = run_stages(stages, inputs, training)
        assert_same(output, expected)
        if moved:
            move(stages)
        run_backward(records, total(output))
    for stage in stages:
        for name, parameter in stage.named_parameters().items():
            grad = model.get_parameter(name).grad
            assert (parameter.grad is None) == (grad is None), name
            assert grad is None or torch.equal(parameter.grad, grad), name
        for name, buffer in stage.named_buffers().items():
            assert torch.equal(buffer, model.get_buffer(name)), name
    owned = [name for stage in stages for name in stage.named_parameters()]
    assert sorted(owned) == sorted(dict(model.named_parameters()))


def move(stages):
    """Bind all tensors elsewhere and spoil where they were."""
    for stage in stages:
        held = {**stage.named_parameters(), **stage.named_buffers()}
        before = [tensor.data for tensor in held.values()]
        stage.bind({name: tensor.detach().clone() for name, tensor in held.items()})
        for tensor in before:
            tensor.fill_(77)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def zoo():
    """All models: name to (factory, maker of inputs)."""
    return MODELS


@pytest.fixture
def case():
    """`case(name, way=None)`: the captured model, captured once."""
    return captured


@pytest.fixture
def exact():
    """The check of a case: `exact(case, cuts, rows, length, training, moved=False)`."""
    return assert_exact


@pytest.fixture
def stages():
    """`stages(case, cuts)`: the eager module and the bound stages."""
    return bound_stages


@pytest.fixture
def forward():
    """`forward(stages, inputs, training)`: output and what each stage read and wrote."""
    return run_stages
