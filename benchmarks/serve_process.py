"""Other servers and ours as processes for the length of a block, each in an environment of its own.

Environments are looked for in the folder SERVE_PEERS (by default benchmarks/.peers), one for each
peer: NAME/bin/python with that package. `SERVE_PEERS_SETUP=1` makes those that are missing.
"""

from __future__ import annotations

import contextlib
import os
import site
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from gristmill.serve.server.listener import listen

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE / "serve_peers"
JSON = "application/json"
_START_SECONDS = 120.0


class Peer(NamedTuple):
    """Another server.

    Attributes:
        name: as shown.
        packages: to install; the first names its environment.
        command: how it starts; `{python}` and `{port}` stand for those.
        path: of its predictions.
        recorded: requests a second that it was measured at on another machine.
        times: how many times as many ours is to answer.
    """

    name: str
    packages: Sequence[str]
    command: Sequence[str]
    path: str
    recorded: float
    times: float = 1.0


def gristmill(bundle: Path, *options: str) -> list[str]:
    """Return the command that serves a bundle on the port `{port}`."""
    command = str(Path(sys.executable).with_name("gristmill"))
    return [command, "serve", str(bundle), *options, "--port", "{port}"]


@contextlib.contextmanager
def server(command: Sequence[str], path: str, body: bytes) -> Iterator[str]:
    """Run a server for a block; give its address once it answers `body` at `path`.

    It ends with the block, and with this process if that is killed.

    Args:
        command: `{port}` in it stands for the port.
        path: of its predictions.
        body: a request in JSON.

    Raises:
        RuntimeError: it ended, or did not answer within two minutes.
    """
    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
    words = [each.replace("{port}", str(port)) for each in command]
    wheels = os.environ.get("PYTHONPATH", "")
    environment = os.environ | {"BENTOML_DO_NOT_TRACK": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(SCRIPTS), str(HERE), wheels)))
    environment["RAY_AUTH_MODE"] = "disabled"  # else it writes a token into the home folder
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            words, cwd=SCRIPTS, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        guard = _guard(process.pid)
        try:
            url = f"http://127.0.0.1:{port}"
            _await(url + path, process, body)
            yield url
        except RuntimeError:
            log.seek(0)
            print(log.read().decode(errors="replace")[-2000:], file=sys.stderr)
            raise
        finally:
            _end(process)
            _dismiss(guard)


def environment_of(packages: Sequence[str]) -> Path | None:
    """Return the interpreter of a peer's environment; torch and numpy are borrowed from ours."""
    home = Path(os.environ.get("SERVE_PEERS", HERE / ".peers")) / packages[0].partition("[")[0]
    python = home / "bin" / "python"
    if python.exists():
        return python
    if not os.environ.get("SERVE_PEERS_SETUP"):
        return None
    venv.create(home, with_pip=True)
    words = [str(python), "-m", "pip", "install", "--quiet", *packages]
    if subprocess.run(words, check=False).returncode:
        return None
    (found,) = home.glob("lib/python*/site-packages")
    (found / "zz_borrowed.pth").write_text("\n".join(site.getsitepackages()))
    return python


def _await(url: str, process: subprocess.Popen[bytes], body: bytes) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        request = urllib.request.Request(url, data=body, headers={"Content-Type": JSON})
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except urllib.error.HTTPError as error:
            if error.code in (400, 422):  # it is there, and reads something else
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"no answer from {' '.join(map(str, process.args))}")  # type: ignore[arg-type]


def _guard(group: int) -> subprocess.Popen[bytes]:
    """Start what kills a process group when this process has ended: it sees its input end.

    A signal at the parent's death (prctl(2)) would reach the server alone, not what it started.
    """
    script = "while read -r _; do :; done; kill -9 -$0"
    words = ["sh", "-c", script, str(group)]
    return subprocess.Popen(
        words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )


def _dismiss(guard: subprocess.Popen[bytes]) -> None:
    """End a guard before its group's number can be another's."""
    guard.kill()
    guard.communicate()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and whatever it started, which is in its process group."""
    for signal_, seconds in ((15, 8.0), (9, 8.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal_)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
