"""Small models of every kind that must be captured, and helpers that run them in stages."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils import _pytree as pytree

from gristmill.train.draws import KeyedDraws, seeded
from gristmill.train.graphs.capture import capture

# ruff: noqa: E731


class MLP(nn.Module):
    def __init__(s):
        super().__init__()
        s.a = nn.Linear(6, 16)
        s.b = nn.Linear(16, 16)
        s.c = nn.Linear(16, 3)

    def forward(s, x):
        return s.c(F.dropout(F.relu(s.b(torch.tanh(s.a(x)))), 0.3, s.training))


class CNN(nn.Module):
    def __init__(s):
        super().__init__()
        s.c1 = nn.Conv2d(3, 8, 3, padding=1)
        s.b1 = nn.BatchNorm2d(8)
        s.c2 = nn.Conv2d(8, 8, 3, stride=2)
        s.b2 = nn.BatchNorm2d(8)
        s.f = nn.Linear(8, 4)
        s.d = nn.Dropout(0.2)

    def forward(s, x):
        x = F.relu(s.b1(s.c1(x)), inplace=True)
        x = F.max_pool2d(F.relu(s.b2(s.c2(x))), 2)
        return s.f(s.d(x.mean((2, 3))))


class Res(nn.Module):
    class B(nn.Module):
        def __init__(s, c):
            super().__init__()
            s.c1 = nn.Conv2d(c, c, 3, padding=1, bias=False)
            s.b1 = nn.BatchNorm2d(c)
            s.c2 = nn.Conv2d(c, c, 3, padding=1, bias=False)
            s.b2 = nn.BatchNorm2d(c)
            s.r = nn.ReLU(inplace=True)

        def forward(s, x):
            y = s.r(s.b1(s.c1(x)))
            y = s.b2(s.c2(y))
            y += x
            return s.r(y)

    def __init__(s):
        super().__init__()
        s.stem = nn.Conv2d(3, 6, 3)
        s.blocks = nn.Sequential(*[Res.B(6) for _ in range(3)])
        s.fc = nn.Linear(6, 4)

    def forward(s, x):
        x = s.blocks(s.stem(x))
        return s.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class UNet(nn.Module):
    def __init__(s):
        super().__init__()
        c = lambda i, o: nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.GroupNorm(2, o), nn.SiLU())
        s.d1 = c(3, 4)
        s.d2 = c(4, 8)
        s.d3 = c(8, 8)
        s.up = nn.ConvTranspose2d(8, 8, 2, 2)
        s.u2 = c(16, 8)
        s.u1 = c(12, 4)
        s.o = nn.Conv2d(4, 2, 1)

    def forward(s, x):
        a = s.d1(x)
        b = s.d2(F.max_pool2d(a, 2))
        c = s.d3(F.max_pool2d(b, 2))
        y = s.u2(torch.cat([s.up(c), b], 1))
        y = s.u1(torch.cat([F.interpolate(y, scale_factor=2), a], 1))
        return s.o(y)


class TF(nn.Module):
    def __init__(s):
        super().__init__()
        s.e = nn.Embedding(13, 8)
        s.pos = nn.Parameter(torch.randn(20, 8))
        s.enc = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True), 2
        )
        s.h = nn.Linear(8, 13)

    def forward(s, ids):
        return s.h(s.enc(s.e(ids) + s.pos[: ids.shape[1]]))


class GPT(nn.Module):
    class B(nn.Module):
        def __init__(s, d, h):
            super().__init__()
            s.h = h
            s.l1 = nn.LayerNorm(d)
            s.qkv = nn.Linear(d, 3 * d)
            s.p = nn.Linear(d, d)
            s.l2 = nn.LayerNorm(d)
            s.m = nn.Sequential(
                nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d), nn.Dropout(0.1)
            )

        def forward(s, x):
            b, t, d = x.shape
            q, k, v = [
                z.view(b, t, s.h, d // s.h).transpose(1, 2) for z in s.qkv(s.l1(x)).chunk(3, -1)
            ]
            y = F.scaled_dot_product_attention(
                q, k, v, is_causal=True, dropout_p=0.1 if s.training else 0.0
            )
            x = x + s.p(y.transpose(1, 2).reshape(b, t, d))
            return x + s.m(s.l2(x))

    def __init__(s):
        super().__init__()
        s.e = nn.Embedding(13, 8)
        s.pe = nn.Embedding(32, 8)
        s.bs = nn.ModuleList(GPT.B(8, 2) for _ in range(3))
        s.n = nn.LayerNorm(8)
        s.head = nn.Linear(8, 13, bias=False)
        s.head.weight = s.e.weight

    def forward(s, ids):
        b, t = ids.shape
        x = s.e(ids) + s.pe(torch.arange(t, device=ids.device))
        for k in s.bs:
            x = k(x)
        return s.head(s.n(x))


class Two(nn.Module):
    def __init__(s):
        super().__init__()
        s.a = nn.Linear(4, 8)
        s.b = nn.Linear(5, 8)
        s.c = nn.Bilinear(8, 8, 6)
        s.d = nn.Linear(6, 2)
        s.e = nn.Linear(6, 3)

    def forward(s, x, y):
        u = torch.relu(s.a(x))
        v = s.b(y).sigmoid()
        w = s.c(u, v)
        return s.d(w), {"aux": s.e(w.tanh()), "u": u}


class LSTMM(nn.Module):
    def __init__(s):
        super().__init__()
        s.e = nn.Embedding(13, 6)
        s.r = nn.LSTM(6, 7, num_layers=2, dropout=0.2, batch_first=True, bidirectional=True)
        s.g = nn.GRU(14, 5, batch_first=True)
        s.h = nn.Linear(5, 3)

    def forward(s, ids):
        x, _ = s.r(s.e(ids))
        x, h = s.g(x)
        return s.h(x[:, -1]) + s.h(h[0])


class Branch(nn.Module):
    class B(nn.Module):
        def __init__(s):
            super().__init__()
            s.a = nn.Linear(6, 6)
            s.b = nn.Linear(6, 6)
            s.d = nn.Dropout(0.2)

        def forward(s, x):
            if x.sum() > 0:
                return s.d(s.a(x)) + x
            return s.d(s.b(x)) - x

    def __init__(s):
        super().__init__()
        s.i = nn.Linear(4, 6)
        s.bs = nn.ModuleList(Branch.B() for _ in range(4))
        s.o = nn.Linear(6, 2)

    def forward(s, x):
        x = s.i(x)
        for b in s.bs:
            x = b(x) * 1.5
        return s.o(x)


class Glue(nn.Module):
    def __init__(s):
        super().__init__()
        s.a = nn.Linear(4, 4)
        s.b = nn.Linear(4, 4)

    def forward(s, x):
        x = s.a(x)
        if x.sum() > 0:
            x = x * 2
        return s.b(x)


class Llama(nn.Module):
    class RMS(nn.Module):
        def __init__(s, d):
            super().__init__()
            s.w = nn.Parameter(torch.ones(d))

        def forward(s, x):
            return s.w * (x * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-6)).to(
                x.dtype
            )

    class Rot(nn.Module):
        def __init__(s, d):
            super().__init__()
            s.register_buffer(
                "inv", 1 / (10000 ** (torch.arange(0, d, 2).float() / d)), persistent=False
            )

        @torch.no_grad()
        def forward(s, x, pos):
            f = (s.inv[None, :, None] @ pos[:, None, :].float()).transpose(1, 2)
            e = torch.cat([f, f], -1)
            return e.cos().to(x.dtype), e.sin().to(x.dtype)

    class B(nn.Module):
        def __init__(s, d, h):
            super().__init__()
            s.h = h
            s.n1 = Llama.RMS(d)
            s.n2 = Llama.RMS(d)
            s.q = nn.Linear(d, d, bias=False)
            s.k = nn.Linear(d, d // 2, bias=False)
            s.v = nn.Linear(d, d // 2, bias=False)
            s.o = nn.Linear(d, d, bias=False)
            s.g = nn.Linear(d, 2 * d, bias=False)
            s.u = nn.Linear(d, 2 * d, bias=False)
            s.dn = nn.Linear(2 * d, d, bias=False)

        def forward(s, x, mask=None, position_embeddings=None):
            b, t, d = x.shape
            c, sn = position_embeddings
            y = s.n1(x)
            hd = d // s.h
            q = s.q(y).view(b, t, -1, hd).transpose(1, 2)
            k = s.k(y).view(b, t, -1, hd).transpose(1, 2)
            v = s.v(y).view(b, t, -1, hd).transpose(1, 2)
            rot = lambda z: torch.cat([-z[..., hd // 2 :], z[..., : hd // 2]], -1)
            c, sn = c[:, None], sn[:, None]
            q = q * c + rot(q) * sn
            k = k * c + rot(k) * sn
            k = k.repeat_interleave(2, 1)
            v = v.repeat_interleave(2, 1)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            x = x + s.o(y.transpose(1, 2).reshape(b, t, d))
            y = s.n2(x)
            return x + s.dn(F.silu(s.g(y)) * s.u(y))

    def __init__(s):
        super().__init__()
        s.e = nn.Embedding(13, 8)
        s.rot = Llama.Rot(4)
        s.bs = nn.ModuleList(Llama.B(8, 2) for _ in range(3))
        s.n = Llama.RMS(8)
        s.head = nn.Linear(8, 13, bias=False)

    def forward(s, ids):
        b, t = ids.shape
        x = s.e(ids)
        pos = torch.arange(t, device=ids.device)[None]
        pe = s.rot(x, pos)
        mask = torch.full((t, t), float("-inf"), device=ids.device).triu(1)[None, None]
        for k in s.bs:
            x = k(x, mask=mask, position_embeddings=pe)
        return {"logits": s.head(s.n(x)), "n": 3}


class T5(nn.Module):
    class Att(nn.Module):
        def __init__(s, d, h, rel):
            super().__init__()
            s.h = h
            s.q, s.k, s.v, s.o = [nn.Linear(d, d, bias=False) for _ in range(4)]
            if rel:
                s.rel = nn.Embedding(8, h)
            s.has = rel

        def forward(s, x, m, bias=None):
            b, t, d = x.shape
            u = m.shape[1]
            sh = lambda z: z.view(b, -1, s.h, d // s.h).transpose(1, 2)
            q, k, v = sh(s.q(x)), sh(s.k(m)), sh(s.v(m))
            a = q @ k.transpose(-1, -2)
            if bias is None:
                if s.has:
                    r = (
                        torch.arange(u, device=x.device)[None]
                        - torch.arange(t, device=x.device)[:, None]
                    ).clamp(-4, 3) + 4
                    bias = s.rel(r).permute(2, 0, 1)[None]
                else:
                    bias = torch.zeros(1, s.h, t, u, device=x.device, dtype=x.dtype)
            a = F.dropout((a + bias).softmax(-1), 0.1, s.training)
            return s.o((a @ v).transpose(1, 2).reshape(b, t, d)), bias

    class B(nn.Module):
        def __init__(s, d, h, dec, rel):
            super().__init__()
            s.sa = T5.Att(d, h, rel)
            s.ca = T5.Att(d, h, False) if dec else None
            s.n = nn.LayerNorm(d)
            s.n2 = nn.LayerNorm(d)
            s.w = nn.Linear(d, d)

        def forward(s, x, bias=None, mem=None):
            y = s.n(x)
            y, bias = s.sa(y, y, bias)
            x = x + y
            if s.ca is not None:
                x = x + s.ca(s.n2(x), mem)[0]
            if torch.isinf(x).any():
                x = x.clamp(-1e4, 1e4)
            return x + s.w(x).relu(), bias

    def __init__(s):
        super().__init__()
        s.e = nn.Embedding(13, 8)
        s.enc = nn.ModuleList(T5.B(8, 2, False, i == 0) for i in range(3))
        s.dec = nn.ModuleList(T5.B(8, 2, True, i == 0) for i in range(3))
        s.h = nn.Linear(8, 13, bias=False)
        s.h.weight = s.e.weight
        s.dr = nn.Dropout(0.1)

    def forward(s, src, tgt):
        x = s.dr(s.e(src))
        bias = None
        for b in s.enc:
            x, bias = b(x, bias=bias)
        mem = s.dr(x)
        x = s.dr(s.e(tgt))
        bias = None
        for b in s.dec:
            x, bias = b(x, bias=bias, mem=mem)
        return s.h(x * 8**-0.5), mem


class Albert(nn.Module):
    def __init__(s):
        super().__init__()
        s.i = nn.Linear(4, 6)
        s.b = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Dropout(0.1))
        s.o = nn.Linear(6, 2)

    def forward(s, x):
        x = s.i(x)
        z = x
        for _ in range(5):
            x = s.b(x) + z
        return s.o(x)


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
