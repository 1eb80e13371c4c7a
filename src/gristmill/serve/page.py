"""The page at `/`: a form made from the signature, to try the model in a browser."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import orjson

from gristmill.serve.instances import sample_record

if TYPE_CHECKING:
    from gristmill.serve.service import Service

_TEMPLATE = Path(__file__).with_name("page.html")

HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
    ),
    ("Cache-Control", "no-store"),
]
"""Nothing is loaded from anywhere, and nothing is sent anywhere but to this server."""


def page(service: Service) -> bytes:
    """Return the page as UTF-8 HTML; everything it needs is inside."""
    facts = {
        "name": service.model.name,
        "fingerprint": service.model.fingerprint,
        "classes": list(service.classes),
        "fields": msgspec.to_builtins(service.signature.inputs),
        "sample": sample_record(service.signature),
    }
    # A script element ends at the first "</", whatever it holds: no "<" may stay in the JSON.
    data = orjson.dumps(facts).decode().replace("<", "\\u003c")
    text = _TEMPLATE.read_text(encoding="utf-8")
    text = text.replace("{{title}}", escape(service.model.name))
    return text.replace("{{model}}", data).encode()
