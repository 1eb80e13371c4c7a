from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.web.text import clean, fit, prose, shorten, text_width, wrap

ANY = st.text(alphabet=st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x00a\x1f", "␀a␟"),
        ("\x7f\x85", "␡\ufffd"),
        ("\ud800\ufffe", "\ufffd\ufffd"),
        ("a\r\nb\tc", "a\nb\tc"),
        ("lone\rreturn", "lone␍return"),
        ("naïve 日本 👍", "naïve 日本 👍"),
    ],
)
def test_clean_shows_what_html_forbids(raw: str, shown: str) -> None:
    assert clean(raw) == shown


@given(ANY)
def test_clean_text_can_be_encoded_and_is_stable(raw: str) -> None:
    assert clean(clean(raw)) == clean(raw)
    clean(raw).encode()


@pytest.mark.parametrize(
    ("raw", "limit", "shown"),
    [
        ("short", 10, "short"),
        ("  two\n\n words ", 20, "two words"),
        ("abcdefghij", 10, "abcdefghij"),
        ("abcdefghijk", 10, "abcdefghi…"),
        ("ab cdef", 4, "ab…"),
        ("x" * 50, 10, "xxxxxxxxx…"),
    ],
)
def test_shorten(raw: str, limit: int, shown: str) -> None:
    assert shorten(raw, limit) == shown


@given(ANY, st.integers(1, 60))
def test_shorten_keeps_to_the_limit(raw: str, limit: int) -> None:
    assert len(shorten(raw, limit)) <= limit


def test_shorten_marks_a_cut_within_spaces() -> None:
    assert shorten("a" + " " * 500 + "b", 10) == "a…"


@given(ANY, st.floats(30, 400), st.floats(8, 20))
def test_fitted_text_is_not_wider_than_asked(raw: str, width: float, size: float) -> None:
    assert text_width(fit(raw, width, size), size) <= width + 1e-6


@given(st.text(alphabet="abc _-./W\u4e2d", max_size=200), st.floats(40, 200), st.integers(1, 4))
def test_wrapped_lines_fit_and_keep_the_text(raw: str, width: float, lines: int) -> None:
    rows = wrap(raw, width, 12, lines)
    assert len(rows) <= lines
    assert all(text_width(row, 12) <= width + 1e-6 for row in rows)
    joined = "".join(rows).replace(" ", "")
    whole = shorten(raw, 400).replace(" ", "")
    assert joined == whole or whole.startswith(joined.rstrip("…")[:3])
    assert joined == whole or joined.endswith("…")


def test_wrap_breaks_after_punctuation_of_names() -> None:
    assert wrap("keyword_free_prize", 80, 12, 2) == ["keyword_", "free_prize"]
    assert wrap("apply labelling functions", 120, 12, 2) == ["apply labelling", "functions"]


def test_wide_characters_count_more() -> None:
    assert text_width("日本", 10) > text_width("ab", 10) > text_width("il", 10)


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("One\nline.\n\nTwo.", "<p>One line.</p>\n<p>Two.</p>"),
        ("- a\n- **b**", "<ul><li>a</li><li><strong>b</strong></li></ul>"),
        ("run `a **b** <c>`", "<p>run <code>a **b** &lt;c&gt;</code></p>"),
        ("a ` b", "<p>a ` b</p>"),
        ("`a` and ` b", "<p><code>a</code> and ` b</p>"),
        ("**<b>**", "<p><strong>&lt;b&gt;</strong></p>"),
        ("2 - 1", "<p>2 - 1</p>"),
        ("", ""),
    ],
)
def test_prose(source: str, html: str) -> None:
    assert str(prose(source)) == html
