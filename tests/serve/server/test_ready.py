import json

import msgspec

from gristmill.serve.server.ready import Ready, ReadyModel, ReadyRoute

SPAM = ReadyModel("spam", "0123456789abcdef", ("ham", "spam"), 21_345.6, 0.21049)
LIVE = ReadyModel("live", "abcdef0123456789", ("ham", "spam"), 5_432.1, 0.3, "v3")
SUMS = ReadyModel("sums", "fedcba9876543210", (), 7.25, 140.0)
ROUTE = ReadyRoute("all", "canary", ("spam", "live"), "canary: 5% of users to live, else spam")
URL = "http://127.0.0.1:8000"


def test_the_line_says_what_is_served_how_fast_and_where():
    assert str(Ready(URL, (SPAM,), 7)) == (
        "serving spam (01234567, 2 classes, 21,000 rows/s, p50 0.21 ms) "
        "at http://127.0.0.1:8000  (Ctrl-C stops)"
    )
    assert str(Ready(URL, (LIVE,), 7)).startswith("serving live (v3, abcdef01, 2 classes, 5,400 ")
    assert str(Ready(URL, (SUMS,), 7)).startswith("serving sums (fedcba98, 7.2 rows/s, p50 1.4e+02")


def test_of_several_it_says_less_of_each_and_routes_come_first():
    ready = Ready(URL, (SPAM, LIVE), 7, (ROUTE,))
    assert str(ready) == (
        "serving all (canary: 5% of users to live, else spam), spam (21,000/s), "
        "live (v3, 5,400/s) at http://127.0.0.1:8000  (Ctrl-C stops)"
    )


def test_json_has_everything():
    found = json.loads(msgspec.json.encode(Ready(URL, (LIVE,), 7, (ROUTE,))))
    assert found["models"][0]["version"] == "v3"
    assert found["routes"] == [
        {"name": "all", "kind": "canary", "models": ["spam", "live"], "says": ROUTE.says}
    ]
