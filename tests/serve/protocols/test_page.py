import json
import re
import shutil
import subprocess

import pytest

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


@pytest.mark.browser
def test_what_a_type_holds_is_no_limit_to_tell(served, tmp_path):
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no Chromium on this machine")
    text = page(page_facts([served])).decode()
    assert '"max":100.0' in text
    file = tmp_path / "page.html"
    shown = []
    for most in ("100.0", "3.4028234663852886e38"):
        file.write_text(text.replace('"max":100.0', f'"max":{most}'))
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
        done = subprocess.run(
            [program, *options, "--virtual-time-budget=3000", "--dump-dom", file.as_uri()],
            capture_output=True,
            timeout=120,
            check=True,
        )
        shown += re.findall(r"<small>(int[^<]*)</small>", done.stdout.decode())
    assert shown == ["int, optional, from 0, to 100", "int, optional, from 0"]
