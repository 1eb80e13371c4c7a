"""One stage over one large file on two local processes, for `engines.py`.

python benchmarks/engines_large.py STAGE FILE OUTPUT

Prints the seconds, the peak memory of this process and that of its largest child, in GB.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

from gristmill import label
from gristmill.engine import Engine, open_engine

COLUMNS = tuple(f"x{number}" for number in range(8))


def run_profile(file: Path, out: Path, engine: Engine) -> None:
    """Profile the file and keep the statistics."""
    from gristmill.validate import profile

    found = profile(file, engine=engine)
    out.mkdir()
    found.save(out)


def run_label(file: Path, out: Path, engine: Engine) -> None:
    """Apply expressions, fit a label model and write labels, all part by part."""
    from engines import WORDS

    functions = [label.keywords(word, [word], number % 2) for number, word in enumerate(WORDS)]
    votes = label.apply_in_parts(functions, file, out / "votes", classes=2, engine=engine)
    model = label.LabelModel(classes=2).fit(votes, engine=engine)
    label.predict_in_parts(model, votes, out / "labels", engine=engine)


def run_predict(file: Path, out: Path, engine: Engine) -> None:
    """Answer all rows with a small network."""
    import torch
    from torch import nn

    from gristmill.data.features import Columns
    from gristmill.serve import predict_table
    from gristmill.train.bundle import bundle_model

    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(len(COLUMNS), 16), nn.ReLU(), nn.Linear(16, 2)).eval()
    bundle = bundle_model(
        module, out / "bundle", name="bench", classes=["no", "yes"], featurizer=Columns(COLUMNS)
    )
    predict_table(bundle, file, out / "answers", engine=engine)


STAGES = {"profile": run_profile, "label": run_label, "predict": run_predict}


def main(stage: str, file: str, out: str) -> None:
    """Run one stage and print what it took."""
    began = time.perf_counter()
    with open_engine("local:2") as engine:
        STAGES[stage](Path(file), Path(out), engine)
    took = time.perf_counter() - began
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    print(took, own_peak(), workers)


def own_peak() -> float:
    """Return this process's peak memory in GB; `getrusage` counts its parent's before it, too."""
    (line,) = [x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x]
    return int(line.split()[1]) * 1024 / 1e9


if __name__ == "__main__":
    main(*sys.argv[1:])
