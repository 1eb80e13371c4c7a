import json
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from gristmill.cli.main import run
from gristmill.cli.serve import command
from gristmill.serve.server import lifecycle
from gristmill.serve.server.ready import Ready, ReadyModel
from gristmill.serve.server.settings import Settings
from gristmill.serve.watch.keeping import Keeping

MODEL = ReadyModel("spam", "0123456789abcdef", ("ham", "spam"), 20_000.0, 0.2)
READY = Ready("http://127.0.0.1:8000", (MODEL,), 7)


@pytest.fixture
def spam(tmp_path):
    """Return the folder of a small bundle."""
    import torch

    from gristmill.data.features import HashedNgrams
    from gristmill.train.bundle import bundle_model
    from gristmill.train.text.text_models import BagOfNgrams

    torch.manual_seed(0)
    folder = tmp_path / "spam"
    bundle_model(
        BagOfNgrams(16, 2),
        folder,
        name="spam",
        classes=["ham", "spam"],
        featurizer=HashedNgrams(buckets=16),
    )
    return folder


@pytest.fixture
def served(monkeypatch):
    """Stand in for the server: note how it was called, and say it is ready."""
    calls = []

    def serve(sources, settings, *, announce):
        calls.append((sources, settings))
        announce(READY)

    monkeypatch.setattr(lifecycle, "serve", serve)
    return calls


def test_prints_one_line_with_the_url(served):
    result = CliRunner().invoke(command, ["bundles/spam"])
    assert result.exit_code == 0
    assert result.stdout == f"{READY}\n"
    ((sources, settings),) = served
    assert sources == {"": "bundles/spam"}
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert (settings.limits.max_body, settings.limits.max_batch) == (1_000_000, 64)
    assert settings.limits.deadline == 2.0


def test_prints_one_line_of_json(served):
    result = CliRunner().invoke(command, ["bundles/spam", "--json"])
    (line,) = result.stdout.splitlines()
    assert json.loads(line) == {
        "url": "http://127.0.0.1:8000",
        "models": [
            {
                "name": "spam",
                "fingerprint": "0123456789abcdef",
                "classes": ["ham", "spam"],
                "rows_per_second": 20_000.0,
                "p50_ms": 0.2,
                "version": "",
            }
        ],
        "routes": [],
        "grpc": "",
        "pid": 7,
    }


def test_options_reach_the_server(served):
    options = (
        "--host ::1 --port 0 --max-body 2MiB --max-batch 8 --max-queue 100 --deadline 90s "
        "--schema warn --replicas 2 --threads 3 --cache 1MiB --token-file t "
        "--tls-cert c --tls-key k "
        "--log-level info --log-format json --drain 3s --keep-predictions 0.25 --watch-folder w"
    )
    assert CliRunner().invoke(command, ["b", *options.split()]).exit_code == 0
    ((_, settings),) = served
    limits = settings.limits
    assert (limits.max_body, limits.max_batch, limits.max_queue) == (2 * 2**20, 8, 100)
    assert (limits.deadline, limits.max_deadline, limits.max_instances) == (90.0, 90.0, 100)
    assert settings == Settings(
        host="::1",
        port=0,
        limits=limits,
        schema="warn",
        replicas=2,
        threads=3,
        cache=2**20,
        tokens="t",
        tls_certificate="c",
        tls_key="k",
        log_level="info",
        log_format="json",
        drain_seconds=3.0,
        keep=Keeping(rate=0.25),
        watch_folder="w",
    )


def test_several_bundles_have_names(served, spam):
    assert CliRunner().invoke(command, [str(spam), f"other={spam}"]).exit_code == 0
    ((sources, _),) = served
    assert sources == {"spam": str(spam), "other": str(spam)}


def test_a_registered_model_and_a_serving_file(served, spam):
    for sources in (["registry:mail"], ["other=registry:mail"], ["serving.toml"]):
        assert CliRunner().invoke(command, sources).exit_code == 0
    assert [sources for sources, _ in served] == [
        {"mail": "registry:mail"},
        {"other": "registry:mail"},
        {"": "serving.toml"},
    ]


def test_a_serving_file_beside_others_exits_with_2(spam, capsys):
    assert run(["serve", str(spam), "serving.toml"]) == 2
    assert "expected serving.toml alone" in capsys.readouterr().err


def test_two_bundles_of_one_name_exit_with_2(served, spam, capsys):
    assert run(["serve", str(spam), str(spam)]) == 2
    assert "two models have the name 'spam'" in capsys.readouterr().err
    assert served == []


@pytest.mark.parametrize(
    "options",
    [
        *(["--port", "70000"], ["--max-body", "big"], ["--max-body", "0"], ["--max-batch", "0"]),
        ["--keep-predictions", "1.5"],
    ],
)
def test_wrong_options_exit_with_2(served, options):
    assert run(["serve", "b", *options]) == 2
    assert served == []


def test_predictions_need_a_folder_to_be_kept_in(spam, capsys):
    assert run(["serve", str(spam), "--keep-predictions", "1"]) == 2
    assert "fix: name one with --watch-folder" in capsys.readouterr().err


def test_a_folder_that_is_no_bundle_exits_with_8(tmp_path, capsys):
    assert run(["serve", str(tmp_path / "none"), "--port", "0"]) == 8
    assert capsys.readouterr().err.startswith("error: ")


def test_ctrl_c_stops_a_real_server_cleanly(spam):
    program = "from gristmill.cli.main import main; main()"
    arguments = ["serve", str(spam), "--port", "0", "--json"]
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert json.loads(process.stdout.readline())["pid"] == process.pid
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stderr.read() == b""
