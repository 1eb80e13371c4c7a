"""Load on a server of many different requests: connections that each wait for their answer."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from urllib.parse import urlsplit

from serve_load import Load

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def load_of(url: str, connections: int, seconds: float, bodies: Sequence[bytes]) -> Load:
    """Send the requests in turn, over and over, on so many connections, for so long.

    An answer counts if it came within the time.
    """
    times, errors = asyncio.run(_generate(url, connections, seconds, cycle(bodies)))
    times.sort()
    p50, p99 = (times[len(times) * part // 100] * 1000 if times else 0.0 for part in (50, 99))
    return Load(len(times) / seconds, p50, p99, errors)


async def _generate(
    url: str, connections: int, seconds: float, bodies: Iterator[bytes]
) -> tuple[list[float], int]:
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    )
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
