"""Blocks of a page: each function turns plain data into finished, escaped HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from gristmill.core.errors import UsageError
from gristmill.web.cells import Cell, column_cells, is_number_column
from gristmill.web.charts.axes import WIDE
from gristmill.web.text import clean, prose, shorten

if TYPE_CHECKING:
    import jinja2

NARROW = 345
"""Width in pixels of a chart on a phone."""
MAX_ROWS = 200
MAX_CODE = 20_000
SEVERITIES = ("error", "warning", "info")

_ROWS_SHOWN = 12
_EXAMPLES_SHOWN = 5

Picture = Markup | Callable[[int], Markup]
"""A drawing, or a function from a width in pixels to a drawing."""


def render(template: str, **data: object) -> Markup:
    """Fill a template of this package; every value that is not Markup is cleaned and escaped."""
    return Markup(_environment().get_template(f"{template}.html.j2").render(data))  # noqa: S704


def asset(name: str) -> str:
    """Return the source of a style sheet or script that goes inside the page."""
    loader = _environment().loader
    if loader is None:
        raise UsageError(f"no templates to find {name!r} in")
    return loader.get_source(_environment(), name)[0]


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("gristmill.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value: object) -> object:
    if isinstance(value, Markup):
        return value
    return clean(str(value)) if value is not None else ""


def text(source: str) -> Markup:
    """Write paragraphs; see `gristmill.web.text.prose` for the few marks it knows."""
    return render("blocks/text", body=prose(source))


def facts(pairs: Iterable[tuple[str, object]]) -> Markup:
    """Show (name, value) pairs as a row of figures."""
    cells = [(name, column_cells([value])[0]) for name, value in pairs]
    return render("blocks/facts", pairs=cells)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    caption: str = "",
    *,
    highlight: Iterable[int] = (),
    max_rows: int = MAX_ROWS,
) -> Markup:
    """Show rows under sortable headings.

    Args:
        columns: headings.
        rows: one value per column: numbers are right-aligned, long texts are cut with the whole in
            the title, None and NaN show as a dash; a `Cell` or `Markup` is taken as it is.
        caption: what the table shows.
        highlight: positions of rows to emphasise.
        max_rows: rows beyond these are counted in a note and not shown.

    Raises:
        UsageError: a row has another number of values than there are columns.
    """
    body = [list(row) for row in rows]
    for place, row in enumerate(body):
        if len(row) != len(columns):
            raise UsageError(
                f"expected {len(columns)} values for columns {list(columns)}, found {len(row)}",
                where=f"row {place} of table {caption!r}",
            )
    kept = body[:max_rows]
    grid = [column_cells([row[at] for row in kept]) for at in range(len(columns))]
    return render(
        "blocks/table",
        heads=[(name, is_number_column(cells)) for name, cells in zip(columns, grid, strict=True)],
        rows=list(zip(*grid, strict=True)) if columns else [],
        caption=caption,
        highlight=frozenset(highlight),
        total=len(body),
    )


def figure(picture: Picture, caption: str = "") -> Markup:
    """Show a drawing with a caption.

    Args:
        picture: a drawing from `gristmill.web.charts` or `lineage`, or a function from a width to
            one. A function is drawn twice, for a desk and for a phone, so that text stays readable.
        caption: what the picture shows.

    Raises:
        UsageError: the drawing is plain text, which may not be safe to put on a page.
    """
    wide = picture(WIDE) if callable(picture) else picture
    narrow = picture(NARROW) if callable(picture) else None
    if not isinstance(wide, Markup):
        raise UsageError(
            f"expected a drawing as Markup, found {type(wide).__name__}",
            fix="build it with gristmill.web.charts or gristmill.web.svg",
        )
    return render("blocks/figure", wide=wide, narrow=narrow, caption=caption)


def code(source: str, caption: str = "") -> Markup:
    """Show text as it stands, in a fixed-width face, up to 20,000 characters."""
    cut = len(source) - MAX_CODE
    body = source[:MAX_CODE] + (f"\n… {cut:,} more characters" if cut > 0 else "")
    return render("blocks/code", body=body, caption=caption)


def findings(items: Iterable[Mapping[str, object]]) -> Markup:
    """Show findings, errors first.

    Keys of an item, all but the message optional: `severity` (error, warning or info), `message`,
    `code`, `feature`, `evidence` (a text or a mapping of figures), `rows` (row ids), `examples`
    (values found), `fix`.
    """
    found = sorted((_finding(item) for item in items), key=lambda item: item["rank"])
    return render("blocks/findings", items=found)


def _finding(item: Mapping[str, object]) -> dict[str, int | str | list[str]]:
    severity = str(item.get("severity") or "info").lower()
    rows, examples = _listed(item.get("rows")), _listed(item.get("examples"))
    evidence = item.get("evidence")
    if isinstance(evidence, Mapping):
        evidence = ", ".join(f"{name} {_figure(value)}" for name, value in evidence.items())
    return {
        "rank": SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES),
        "severity": severity,
        "tone": severity if severity in SEVERITIES else "info",
        "message": shorten(str(item.get("message", "")), 600),
        "code": str(item.get("code") or ""),
        "feature": shorten(str(item.get("feature") or ""), 80),
        "evidence": shorten(str(evidence or ""), 600),
        "fix": shorten(str(item.get("fix") or ""), 600),
        "rows": ", ".join(shorten(row, 40) for row in rows[:_ROWS_SHOWN]),
        "more_rows": max(len(rows) - _ROWS_SHOWN, 0),
        "examples": [shorten(example, 120) for example in examples[:_EXAMPLES_SHOWN]],
    }


def _listed(value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [str(value)]
    return [str(part) for part in value]


def _figure(value: object) -> str:
    return shorten(str(column_cells([value])[0].body), 120)


def details(summary: str, blocks: Iterable[Markup]) -> Markup:
    """Fold blocks away under a line that opens them."""
    return render("blocks/details", summary=summary, blocks=list(blocks))


__all__ = ["Cell", "asset", "code", "details", "facts", "figure", "findings", "table", "text"]
