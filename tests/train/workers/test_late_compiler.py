"""The compiler stays away until something compiles, and is the real one from then on."""

from __future__ import annotations

import subprocess
import sys
import textwrap

_TRAINS = """
import sys, torch
from gristmill.train.workers.late_compiler import postpone_compiler
postpone_compiler()
model = torch.nn.Linear(3, 3)
for make in (torch.optim.AdamW, torch.optim.SGD):
    optimizer = make(model.parameters(), 0.1)
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
from torch.utils.checkpoint import checkpoint
checkpoint(model, torch.ones(2, 3, requires_grad=True), use_reentrant=False).sum().backward()
assert "torch._dynamo.eval_frame" not in sys.modules
assert "sympy" not in sys.modules
"""


def run(code: str) -> None:
    source = _TRAINS + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_training_does_without_and_compiling_gets_the_real_one() -> None:
    run("""
        assert torch.compile(lambda x: x * 2, backend="eager")(torch.ones(1)).item() == 2
        assert torch._dynamo is sys.modules["torch._dynamo"]
        assert "torch._dynamo.eval_frame" in sys.modules
    """)


def test_a_submodule_is_imported_once() -> None:
    run("""
        import torch._dynamo.config as config
        assert config is torch._dynamo.config is sys.modules["torch._dynamo.config"]
        assert config.__spec__.name == "torch._dynamo.config"
        postpone_compiler()
        assert torch._dynamo.config is config
    """)


def test_settings_are_the_real_ones() -> None:
    run("""
        assert torch._dynamo.config.error_on_nested_fx_trace is True
        assert torch._dynamo.config.suppress_errors is False
        assert torch._dynamo.config.error_on_nested_fx_trace is True
    """)
