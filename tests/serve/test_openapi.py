import json

import pytest

from gristmill.serve.openapi import openapi
from gristmill.serve.protocol import Limits, Model
from gristmill.serve.service import Service


@pytest.fixture
def document(runner):
    return openapi(Service(runner, Model("a b", "0123456789"), Limits()))


def references(value):
    if isinstance(value, dict):
        yield from (found for item in value.values() for found in references(item))
        if "$ref" in value:
            yield value["$ref"]
    elif isinstance(value, list):
        yield from (found for item in value for found in references(item))


def test_a_record_has_the_limits_of_the_signature(document):
    assert document["components"]["schemas"]["Record"] == {
        "type": "object",
        "properties": {
            "text": {"type": "string", "maxLength": 20},
            "count": {"type": ["integer", "null"], "minimum": 0.0, "maximum": 100.0},
        },
        "required": ["text"],
    }


def test_every_reference_leads_somewhere(document):
    found = set(references(document))
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert found <= schemas
    assert len(found) > 4


def test_every_path_of_the_document_is_served(ask, app):
    document = ask(app, "GET", "/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            example = content.get("application/json", {}).get("example")
            answer = ask(app, method.upper(), path, **({"json": example} if example else {}))
            assert answer.status_code == 200, (path, answer.text)


def test_the_document_is_json_and_quotes_names(document):
    assert json.loads(json.dumps(document)) == document
    assert "/v2/models/a%20b/infer" in document["paths"]
    assert document["info"]["title"] == "a b, served by Gristmill"
