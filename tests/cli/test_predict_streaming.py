"""`gristmill predict` with a model larger than its memory."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result
from tests.broken_off import broken_off

from gristmill.cli.main import cli
from gristmill.cli.predict_streaming import StreamedOpener, keeping_of
from gristmill.core.errors import BundleError, UsageError
from gristmill.serve.runners.rows import Rows
from gristmill.store.bundle import WEIGHTS, Bundle, Field, Signature, write_bundle
from gristmill.store.graph import GraphSpec, Input, Node, Ref

INPUTS = 16
HIGHEST = """
import sys
from gristmill.cli.main import run
code = run(sys.argv[1:])
with open("/proc/self/status") as status:
    print(*[line.split()[1] for line in status if line.startswith("VmHWM")])
sys.exit(code)
"""


def write_tower(folder: Path, layers: int, width: int) -> Bundle:
    """Write a classifier of float32[16] that is a chain of dense layers."""
    draw = np.random.default_rng(0)
    sizes = [INPUTS, *[width] * (layers - 1), 3]
    nodes, weights, last = [], {}, "x"
    for at in range(layers):
        shape = (sizes[at + 1], sizes[at])
        weights[f"w{at}"] = draw.standard_normal(shape, np.float32) / np.float32(shape[1] ** 0.5)
        args = [Ref(last), Ref(f"w{at}")]
        nodes += [
            Node(f"dense{at}", "aten.linear.default", args),
            Node(f"wave{at}", "aten.sin.default", [Ref(f"dense{at}")]),
        ]
        last = f"wave{at}"
    return write_bundle(
        folder,
        name="tower",
        classes=["a", "b", "c"],
        signature=Signature([Field("x", "tensor", dtype="float32", shape=[INPUTS])], []),
        graph=GraphSpec([Input("x", "float32", [None, INPUTS])], list(weights), nodes, [last]),
        weights=weights,
    )


def assert_close(one: pl.DataFrame, other: pl.DataFrame) -> None:
    """Compare answers: probabilities to 1e-6, all else exactly."""
    assert one.drop("prob", "probs").equals(other.drop("prob", "probs"))
    probs = [np.array(frame["probs"].to_list()) for frame in (one, other)]
    np.testing.assert_allclose(*probs, rtol=0, atol=1e-6)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a bundle of 0.6 MB of weights, and 900 rows."""
    write_tower(tmp_path / "bundle", 10, 128)
    np.save(tmp_path / "x.npy", np.random.default_rng(1).normal(size=(900, INPUTS)))
    np.save(tmp_path / "x.npy", np.load(tmp_path / "x.npy").astype(np.float32))
    return tmp_path


@pytest.fixture
def predict(place: Path) -> Callable[..., Result]:
    """Run the command in this process: predict(output, *options)."""

    def run(output: str, *options: str) -> Result:
        names = [str(place / name) for name in ("bundle", "x.npy", output)]
        return CliRunner().invoke(cli, ["predict", *names, *options])

    return run


def test_the_answers_are_those_of_a_model_in_memory(
    place: Path, predict: Callable[..., Result]
) -> None:
    assert predict("whole.parquet", "--memory", "50MB").exit_code == 0
    result = predict("streamed.parquet", "--memory", "400KB")
    assert result.exit_code == 0, result.output
    assert re.search(
        r"weights of 534 KB pass through \d+ KB of memory in \d+ stages, once for each \d+ rows",
        result.output,
    )
    assert re.search(r"the weights passed through \d+ times: .* were read, and comp", result.output)
    whole, found = (pl.read_parquet(place / f"{name}.parquet") for name in ("whole", "streamed"))
    assert_close(found, whole)


def test_processes_give_the_same(place: Path, predict: Callable[..., Result]) -> None:
    assert predict("one.parquet", "--memory", "400KB").exit_code == 0
    assert predict("two.parquet", "--memory", "400KB", "--workers", "2").exit_code == 0
    # Not to the bit: each process has fewer threads for an operator.
    assert_close(*(pl.read_parquet(place / f"{name}.parquet") for name in ("one", "two")))


def test_the_plan(place: Path, predict: Callable[..., Result]) -> None:
    result = predict("out.parquet", "--memory", "400KB", "--explain")
    assert result.output.startswith("weights  534 KB on disk, read in ")
    result = predict("out.parquet", "--explain")
    assert result.output == (
        "weights  535 KB, kept in memory as a whole\n"
        "rows     512 MB of memory for those under way\n"
    )
    assert not (place / "out.parquet").exists()


def test_a_budget_that_is_too_small(predict: Callable[..., Result]) -> None:
    error = predict("out.parquet", "--memory", "100KB").exception
    assert isinstance(error, UsageError)
    assert str(error) == (
        "model 'tower': a memory of 100 KB is too small for this model: layer 'dense1' (weight "
        "'w1') alone takes 65.5 KB, and the values of one row 1.02 KB\n"
        "  fix: give it 175KB or more"
    )


def test_weights_stay_in_memory_unless_they_take_most_of_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.open(place / "bundle")
    size = bundle.manifest.files[WEIGHTS].bytes_

    def streams(budget: int | None, workers: int = 1) -> bool:
        return keeping_of(bundle, budget, workers).plan is not None

    assert [streams(size), streams(size * 4 // 3 - 9), streams(size * 4 // 3 + 9)] == [
        True, True, False
    ]  # fmt: skip
    assert keeping_of(bundle, 10**6, 1).row_memory == 10**6 - size
    free = [size * 5 // 4 - 9, size * 5 // 4 + 9, size * 2]
    for bytes_, expected in zip(free, (True, False, False), strict=True):
        monkeypatch.setattr("gristmill.cli.predict_streaming.free_memory", lambda b=bytes_: b)
        assert streams(None) is expected
    assert streams(None, workers=2)


def test_without_the_package_that_streaming_needs(
    predict: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xxhash", None)
    error = predict("out.parquet", "--memory", "400KB").exception
    assert isinstance(error, UsageError)
    assert error.message.startswith("weights of 535 KB do not fit in memory, and reading them ")


def test_an_opener_travels_and_is_closed(place: Path) -> None:
    bundle = Bundle.open(place / "bundle")
    plan = keeping_of(bundle, 400_000, 1).plan
    assert plan is not None
    with StreamedOpener(plan, 1) as opener:
        twin = pickle.loads(pickle.dumps(opener))
        assert twin == opener
        assert hash(twin) == hash(opener)
        assert StreamedOpener(plan, 1) != opener
        runner = opener(place / "bundle")
        assert runner(Rows({"x": np.zeros((2, INPUTS), np.float32)})).count == 2
        assert opener.told.startswith("the weights passed through once: ")
    assert not opener.streams


def test_a_bundle_that_changes_while_it_predicts(place: Path) -> None:
    bundle = Bundle.open(place / "bundle")
    plan = keeping_of(bundle, 250_000, 1).plan
    assert plan is not None
    rows = Rows({"x": np.zeros((2, INPUTS), np.float32)})
    with StreamedOpener(plan, 1) as opener:
        runner = opener(place / "bundle")
        runner(rows)
        with (place / "bundle" / WEIGHTS).open("r+b") as file:
            file.seek(-400_000, os.SEEK_END)
            file.write(bytes(400_000))
        with pytest.raises(BundleError, match="has changed since the file was opened"):
            [runner(rows) for _ in range(3)]


def test_a_killed_run_goes_on_after_its_parts(place: Path) -> None:
    names = [str(place / name) for name in ("bundle", "x.npy", "out.parquet")]
    arguments = ["predict", *names, "--memory", "400KB", "--part-rows", "10"]
    killed = broken_off(place / ".out.parquet.parts", "*/*.json", 3, signal.SIGKILL)
    run = subprocess.run([*killed, *arguments], capture_output=True, check=False)
    assert run.returncode == -signal.SIGKILL
    again = [sys.executable, "-m", "gristmill", *arguments]
    done = subprocess.run(again, capture_output=True, text=True, check=True)
    assert re.search(r"900 rows in .*, \d+ of them from before", done.stdout)
    assert pl.read_parquet(place / "out.parquet")["row_id"].to_list() == list(range(900))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_within_the_budget(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    write_tower(small / "bundle", 3, 64)
    write_tower(large / "bundle", 26, 1024)  # 100 MB
    highest = {}
    for folder, memory in ((small, "100KB"), (large, "30MB")):
        np.save(folder / "x.npy", np.zeros((600, INPUTS), np.float32))
        names = [str(folder / name) for name in ("bundle", "x.npy", "out.parquet")]
        done = subprocess.run(
            [sys.executable, "-c", HIGHEST, "-q", "predict", *names, "--memory", memory],
            capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        highest[folder] = int(done.stdout.split()[-1]) * 1024
    # Beside the budget: code that only the larger run touches, and what allocators keep.
    assert highest[large] - highest[small] < 30_000_000 + 15_000_000
