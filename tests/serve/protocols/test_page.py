import json
import re

from gristmill.serve.protocols.page import page, page_facts

NASTY = "</script><script>alert(1)</script>"


def facts_of(text):
    return json.loads(re.search(r'id="facts">(.*?)</script>', text, re.DOTALL)[1])


def test_the_page_carries_fields_and_a_sample(served, make_served):
    facts = facts_of(page(page_facts([served, make_served("image")])).decode())
    model, image = facts["models"]
    assert (model["name"], model["classes"]) == ("parity", ["even", "odd"])
    assert [field["name"] for field in model["fields"]] == ["text", "count"]
    assert model["sample"] == {"text": "Hello there", "count": 0}
    assert image["sample"] == {"picture": [[[0] * 3] * 3] * 2}


def test_nothing_is_loaded_from_elsewhere(served):
    text = page(page_facts([served])).decode()
    assert not re.search(r"(src|href)=\"(https?:)?//", text)
    assert "@import" not in text
    assert "{{" not in text


def test_a_nasty_name_stays_a_name(served):
    served.name = NASTY
    text = page(page_facts([served])).decode()
    assert NASTY not in text
    assert facts_of(text)["models"][0]["name"] == NASTY
    assert "<title>&lt;/script&gt;" in text


def test_who_has_no_token_learns_nothing(served):
    text = page(None).decode()
    assert facts_of(text) is None
    assert "<title>Models" in text
