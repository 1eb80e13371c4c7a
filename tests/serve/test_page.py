import json
import re

from gristmill.serve.page import page
from gristmill.serve.protocol import Limits, Model
from gristmill.serve.service import Service

NASTY = "</script><script>alert(1)</script>"


def page_of(runner, name):
    return page(Service(runner, Model(name, "0123456789"), Limits())).decode()


def model_of(text):
    return json.loads(re.search(r'id="model">(.*?)</script>', text, re.DOTALL)[1])


def test_the_page_carries_the_signature_and_a_sample(runner):
    model = model_of(page_of(runner, "parity"))
    assert (model["name"], model["classes"]) == ("parity", ["even", "odd"])
    assert [field["name"] for field in model["fields"]] == ["text", "count"]
    assert model["sample"] == {"text": "Hello there", "count": 0}


def test_nothing_is_loaded_from_elsewhere(runner):
    text = page_of(runner, "parity")
    assert not re.search(r"(src|href)=\"(https?:)?//", text)
    assert "@import" not in text
    assert "{{" not in text


def test_a_nasty_name_stays_a_name(runner):
    text = page_of(runner, NASTY)
    assert NASTY not in text
    assert model_of(text)["name"] == NASTY
    assert "<title>&lt;/script&gt;" in text
