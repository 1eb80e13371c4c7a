import json
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from gristmill.cli.main import run
from gristmill.cli.serve import command
from gristmill.serve import server
from gristmill.serve.server import Ready

READY = Ready("http://127.0.0.1:8000", "spam", "0123456789abcdef", ("ham", "spam"), 7)


@pytest.fixture
def served(monkeypatch):
    """Stand in for the server: note how it was called, and say it is ready."""
    calls = []

    def serve(bundle, *, announce, **arguments):
        calls.append((str(bundle), arguments))
        announce(READY)

    monkeypatch.setattr(server, "serve", serve)
    return calls


def test_prints_one_line_with_the_url(served):
    result = CliRunner().invoke(command, ["bundles/spam"])
    assert result.exit_code == 0
    assert result.stdout == f"{READY}\n"
    (bundle, arguments), limits = served[0], served[0][1]["limits"]
    assert bundle == "bundles/spam"
    assert (arguments["host"], arguments["port"]) == ("127.0.0.1", 8000)
    assert (limits.max_body, limits.max_batch) == (1_000_000, 64)


def test_prints_one_line_of_json(served):
    result = CliRunner().invoke(command, ["bundles/spam", "--json"])
    (line,) = result.stdout.splitlines()
    assert json.loads(line) == {
        "url": "http://127.0.0.1:8000",
        "model": "spam",
        "fingerprint": "0123456789abcdef",
        "classes": ["ham", "spam"],
        "pid": 7,
    }


def test_options_reach_the_server(served):
    options = "--host ::1 --port 0 --max-body 2MiB --max-batch 8 --log-level info"
    assert CliRunner().invoke(command, ["b", *options.split()]).exit_code == 0
    arguments = served[0][1]
    assert (arguments["host"], arguments["port"], arguments["log_level"]) == ("::1", 0, "info")
    assert (arguments["limits"].max_body, arguments["limits"].max_batch) == (2 * 2**20, 8)


@pytest.mark.parametrize(
    "options",
    [["--port", "70000"], ["--max-body", "big"], ["--max-body", "0"], ["--max-batch", "0"]],
)
def test_wrong_options_exit_with_2(served, options):
    assert run(["serve", "b", *options]) == 2
    assert served == []


def test_a_folder_that_is_no_bundle_exits_with_8(tmp_path, capsys):
    assert run(["serve", str(tmp_path / "none"), "--port", "0"]) == 8
    assert capsys.readouterr().err.startswith("error: ")


def test_ctrl_c_stops_a_real_server_cleanly(tmp_path):
    import torch

    from gristmill.data.features import HashedNgrams
    from gristmill.train.bundle import bundle_model
    from gristmill.train.text.text_models import BagOfNgrams

    torch.manual_seed(0)
    bundle_model(
        BagOfNgrams(16, 2),
        tmp_path / "spam",
        name="spam",
        classes=["ham", "spam"],
        featurizer=HashedNgrams(buckets=16),
    )
    program = "from gristmill.cli.main import main; main()"
    arguments = ["serve", str(tmp_path / "spam"), "--port", "0", "--json"]
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert json.loads(process.stdout.readline())["pid"] == process.pid
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stderr.read() == b""
