"""The compiler stays away until something compiles, and is the real one from then on."""

from __future__ import annotations

import subprocess
import sys

_TRAINS = """
import os, sys, torch
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
_COMPILES = """
assert torch.compile(lambda x: x * 2, backend="eager")(torch.ones(1)).item() == 2
assert torch._dynamo is sys.modules["torch._dynamo"]
assert "torch._dynamo.eval_frame" in sys.modules
"""
_IMPORTS_A_SUBMODULE_ONCE = """
import torch._dynamo.config as config
assert config is torch._dynamo.config is sys.modules["torch._dynamo.config"]
assert config.__spec__.name == "torch._dynamo.config"
postpone_compiler()
assert torch._dynamo.config is config
"""
_READS_THE_REAL_SETTINGS = """
assert torch._dynamo.config.error_on_nested_fx_trace is True
assert torch._dynamo.config.suppress_errors is False
assert torch._dynamo.config.error_on_nested_fx_trace is True
"""
_EACH_IN_A_FORK = """
for number, use in enumerate(USES):
    if os.fork() == 0:
        exec(use)
        os._exit(0)
    assert os.wait()[1] == 0, f"use {number}"
"""


def test_training_does_without_and_what_uses_it_gets_the_real_one() -> None:
    uses = [_COMPILES, _IMPORTS_A_SUBMODULE_ONCE, _READS_THE_REAL_SETTINGS]
    source = f"{_TRAINS}\nUSES = {uses!r}\n{_EACH_IN_A_FORK}"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
