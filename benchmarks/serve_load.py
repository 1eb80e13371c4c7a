"""Load on a server from a process of its own: `wrk` where it is installed, else a small generator.

    python serve_load.py URL CONNECTIONS SECONDS CONTENT_TYPE BODY_FILE

prints one line of JSON: requests, seconds, p50 and p99 in milliseconds, errors.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "{kind}"
local file = io.open("{file}", "rb")
wrk.body = file:read("*a")
file:close()
"""


class Load(msgspec.Struct, frozen=True):
    """What a server did under load."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    errors: int


def generator() -> str:
    """Return the name of what makes the load."""
    return "wrk" if shutil.which("wrk") else "serve_load.py (wrk is not installed)"


def load(url: str, connections: int, seconds: float, kind: str, body: bytes) -> Load:
    """Send the same request over and over, on so many connections, for so long."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "body"
        file.write_bytes(body)
        if shutil.which("wrk"):
            return _wrk(url, connections, seconds, kind, file)
        words = [sys.executable, __file__, url, str(connections), str(seconds), kind, str(file)]
        done = subprocess.run(words, capture_output=True, check=True)
        return msgspec.json.decode(done.stdout, type=Load)


def _wrk(url: str, connections: int, seconds: float, kind: str, file: Path) -> Load:
    script = file.with_suffix(".lua")
    script.write_text(_SCRIPT.format(kind=kind, file=file))
    words = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    done = subprocess.run(
        [*words, "-s", str(script), url], capture_output=True, text=True, check=True
    )
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    if rate is None:
        raise RuntimeError(f"wrk said something else:\n{done.stdout}{done.stderr}")
    return Load(
        float(rate[1]),
        _quantile(done.stdout, 50),
        _quantile(done.stdout, 99),
        int(wrong[1]) if wrong else 0,
    )


def _quantile(text: str, percent: int) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk said nothing of {percent} %:\n{text}")
    return float(found[1]) * _UNITS[found[2]]


def load_of(url: str, connections: int, seconds: float, kind: str, bodies: Sequence[bytes]) -> Load:
    """Send requests in turn, over and over, from this process; count the answers in time."""
    times, errors = asyncio.run(_generate(url, connections, seconds, kind, cycle(bodies)))
    times.sort()
    p50, p99 = (times[len(times) * part // 100] * 1000 if times else 0.0 for part in (50, 99))
    return Load(len(times) / seconds, p50, p99, errors)


async def _generate(
    url: str, connections: int, seconds: float, kind: str, bodies: Iterator[bytes]
) -> tuple[list[float], int]:
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: {kind}\r\n"
    times: list[float] = []
    errors = 0
    end = time.perf_counter() + seconds

    async def client() -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while (began := time.perf_counter()) < end:
            body = next(bodies)
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(answer)
            await reader.readexactly(int(length[1]) if length else 0)
            errors += not answer.startswith(b"HTTP/1.1 2")
            if time.perf_counter() <= end:
                times.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    return times, errors


def main() -> None:
    """Make the load that the arguments say."""
    url, connections, seconds, kind, file = sys.argv[1:]
    found = load_of(url, int(connections), float(seconds), kind, [Path(file).read_bytes()])
    print(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
