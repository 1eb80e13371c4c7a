from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.serve.protocols.media import (
    BYTES,
    CSV,
    JSON,
    KINDS,
    NPY,
    accepted_kind,
    content_kind,
)
from gristmill.serve.refusal import Refusal


@pytest.mark.parametrize(
    ("said", "kind", "header"),
    [
        (None, JSON, None),
        (b"application/json", JSON, None),
        (b'Application/JSON ; charset="UTF-8"', JSON, None),
        (b"text/csv; header=absent", CSV, "absent"),
        (b"text/csv;header=present;charset=utf-8", CSV, "present"),
        (b"application/octet-stream", BYTES, None),
        (b"application/x-npy", NPY, None),
    ],
)
def test_content_types(said, kind, header):
    found = content_kind(said)
    assert (found.kind, found.header) == (kind, header)


@pytest.mark.parametrize(
    "said", [b"text/plain", b"application/json; charset=latin-1", b"", b"text/csv; header=maybe"]
)
def test_other_content_types_are_refused(said):
    with pytest.raises(Refusal) as caught:
        content_kind(said)
    assert (caught.value.status, caught.value.code) == (415, "wrong_content_type")
    assert caught.value.fix == "send the header Content-Type: application/json"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (None, JSON),
        (b"", JSON),
        (b"*/*", JSON),
        (b"text/*", CSV),
        (b"application/*", JSON),
        (b"text/csv, application/json", JSON),
        (b"text/csv, application/json;q=0.5", CSV),
        (b"application/json;q=0, */*;q=0.1", CSV),
        (b"text/html, application/x-npy;q=0.2", NPY),
        (b"application/octet-stream", BYTES),
    ],
)
def test_accept(said, kind):
    assert accepted_kind(said) == kind


@pytest.mark.parametrize("said", [b"text/html", b"application/json;q=0", b"image/*"])
def test_nothing_that_can_be_sent(said):
    with pytest.raises(Refusal) as caught:
        accepted_kind(said)
    assert (caught.value.status, caught.value.code) == (406, "not_acceptable")


@given(st.binary(max_size=60))
def test_any_header_has_a_form_or_is_refused(said):
    for read in (accepted_kind, lambda value: content_kind(value).kind):
        with suppress(Refusal):
            assert read(said) in KINDS
