"""Requests made from the OpenAPI document, right and wrong, by a tool that looks for surprises."""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.patience import patient

from gristmill.serve.online.endpoint import Answered
from gristmill.serve.protocols.served import Served
from gristmill.serve.runners.rows import Rows
from gristmill.serve.server.app import App
from gristmill.store.bundle import Field

schemathesis = pytest.importorskip(
    "schemathesis", reason="schemathesis is not installed (pip install schemathesis)"
)


class LengthEndpoint:
    """Answers a record with the length of its text."""

    name, fingerprint, classes = "lengths", "0123456789abcdef", ()
    inputs = (
        Field("text", "string", max_length=20),
        Field("share", "float", required=False, min=0.0, max=1.0),
        Field("x", "tensor", dtype="float32", shape=[2]),
    )
    outputs = (Field("length", "int"),)

    async def answer(self, rows, call):
        lengths = np.array([len(text) for text in rows.columns["text"]], np.int64)
        return Answered(rows=Rows({"length": lengths}, rows.count), model=self.fingerprint)

    async def close(self):
        pass


def test_every_operation_answers_as_the_document_says(make_served, running):
    others = [make_served(kind) for kind in ("parity", "ragged")]
    app = App([Served(LengthEndpoint(), patient()), *others])
    known = schemathesis.checks
    checks = [
        known.not_a_server_error,
        known.status_code_conformance,
        known.content_type_conformance,
        known.response_headers_conformance,
        known.response_schema_conformance,
        known.allow_header_conformance,
    ]
    tried = 0
    with running(app) as (host, port):
        schema = schemathesis.openapi.from_url(f"http://{host}:{port}/openapi.json")
        for found in schema.get_all_operations():
            operation = found.ok()

            @settings(
                max_examples=12,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate],
            )
            @given(case=operation.as_strategy())
            def answers(case):
                case.call_and_validate(checks=checks)

            answers()
            tried += 1
    assert tried == 27
