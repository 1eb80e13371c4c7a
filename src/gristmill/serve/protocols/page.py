"""The page at `/`: a form made from the models' fields, to try them in a browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
import orjson

from gristmill.serve.protocols.instances import sample_of

if TYPE_CHECKING:
    from gristmill.serve.protocols.served import Served

_TEMPLATE = Path(__file__).with_name("page.html")

HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        b"connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        b"frame-ancestors 'none'",
    ),
    (b"cache-control", b"no-store"),
]
"""Nothing is loaded from anywhere, and nothing is sent anywhere but to this server."""


def page(facts: Mapping[str, object] | None) -> bytes:
    """Return the page as UTF-8 HTML; everything it needs is inside.

    Args:
        facts: of the models, as `page_facts` returns them; None where they are told only to who
            has a token: then the page asks for one.
    """
    names = [each["name"] for each in facts["models"]] if facts else []  # type: ignore[attr-defined]
    title = ", ".join(names[:3]) or "Models"
    # A script element ends at the first "</", whatever it holds: no "<" may stay in the JSON.
    data = orjson.dumps(facts).decode().replace("<", "\\u003c")
    text = _TEMPLATE.read_text(encoding="utf-8")
    return text.replace("{{title}}", escape(title)).replace("{{facts}}", data).encode()


def page_facts(models: Sequence[Served]) -> dict[str, object]:
    """Return what the page, and `GET /v1/models`, tell of the models."""
    return {
        "models": [
            {
                "name": served.name,
                "fingerprint": served.version,
                "ready": served.ready,
                "classes": list(served.classes),
                "fields": msgspec.to_builtins(served.inputs),
                "outputs": msgspec.to_builtins(served.outputs),
                "sample": sample_of(served.inputs),
                **({"route": served.about} if served.about else {}),
                **({} if served.streaming is None else {"streams": _streams(served)}),
            }
            for served in models
        ]
    }


def _streams(served: Served) -> str:
    """Return the path below which a model's streams are."""
    return f"/v1/streams/{quote(served.name, safe='')}"
