"""Profile: what the data looks like, one feature per row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from markupsafe import Markup

from gristmill.web import blocks
from gristmill.web.cells import Cell, column_cells, share_cell
from gristmill.web.charts import bar_chart, histogram_pair, sparkline
from gristmill.web.report import Report, Section
from gristmill.web.sections.records import Record, Records, as_records, figure_of, name_of
from gristmill.web.text import shorten

_SPARK_BINS = 40
_TOP_SHOWN = 12


def profile_section(
    report: Report,
    features: Records,
    *,
    rows: int | None = None,
    title: str = "Data profile",
    lead: str = "",
) -> Section:
    """Add the profile of a table: a row per feature, and its distribution under a fold.

    Args:
        report: where to add.
        features: one per feature, all keys but the name optional: `name`, `type`, `missing` (a
            share in [0, 1]), `distinct` (a count); for numbers `min`, `mean`, `max`; for texts
            `min_length`, `mean_length`, `max_length`; `top_values` ((value, count) pairs or a
            mapping); `histogram` (mapping with `edges`, `counts` and optionally `current` counts,
            or counts alone).
        rows: how many rows were profiled.
        title: heading.
        lead: the sentence under it; the number of rows and features by default.
    """
    items = as_records(features, "profile")
    counted = (
        f"{len(items):,} features" if rows is None else f"{rows:,} rows, {len(items):,} features"
    )
    section = report.section(title, lead or f"{counted}.")
    columns = [
        "feature",
        "type",
        "distribution",
        "missing",
        "distinct",
        "min",
        "mean",
        "max",
        "top value",
    ]
    section.table(columns, [_row(item, place) for place, item in enumerate(items)])
    pictures = [
        picture
        for place, item in enumerate(items)
        for picture in _pictures(item, name_of(item, place, "name"))
    ]
    return section.details("Distribution of each feature", pictures) if pictures else section


def _row(item: Record, place: int) -> list[object]:
    name = name_of(item, place, "name")
    return [
        name,
        item.get("type"),
        _spark(item, name),
        _missing(figure_of(item, "missing")),
        _whole(item.get("distinct")),
        *(_extent(item, which) for which in ("min", "mean", "max")),
        _top(_pairs(item.get("top_values"))),
    ]


def _spark(item: Record, name: str) -> Markup | None:
    counts = _counts(item.get("histogram")) or [
        count for _, count in _pairs(item.get("top_values"))
    ]
    if len(counts) < 2:
        return None
    return sparkline(_coarser(counts), title=f"Distribution of {name}")


def _coarser(counts: Sequence[float]) -> list[float]:
    """Add up neighbours until the bars fit a sparkline."""
    size = -(-len(counts) // _SPARK_BINS)
    return [sum(counts[start : start + size]) for start in range(0, len(counts), size)]


def _missing(share: float | None) -> Cell | None:
    return None if share is None else share_cell(share)


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _extent(item: Record, which: str) -> object:
    """Return the figure, or the length of the texts, which is marked as such."""
    if item.get(which) is not None:
        cell = column_cells([_whole(item[which])])[0]
        # A date stands right-aligned among the numbers of its column.
        return replace(cell, number=True) if not cell.missing else cell
    length = figure_of(item, f"{which}_length")
    if length is None:
        return None
    body = Markup('{} <small class="range">chars</small>').format(
        column_cells([_whole(length)])[0].body
    )
    return Cell(body, True, repr(length))


def _top(pairs: Sequence[tuple[str, float]]) -> Cell | None:
    if not pairs:
        return None
    value, count = pairs[0]
    body = Markup('{} <small class="range">{:,.0f} rows</small>').format(shorten(value, 40), count)
    return Cell(
        body, key=shorten(value, 40), title=shorten(value, 400) if len(value) > 40 else None
    )


def _pairs(value: object) -> list[tuple[str, float]]:
    items = (
        value.items()
        if isinstance(value, Mapping)
        else value
        if isinstance(value, Iterable)
        else ()
    )
    return [(str(name), float(count)) for name, count in items]


def _counts(histogram: object) -> list[float]:
    found = histogram.get("counts") if isinstance(histogram, Mapping) else histogram
    return [float(count) for count in found] if isinstance(found, Iterable) else []


def _pictures(item: Record, name: str) -> list[Markup]:
    histogram, pairs = item.get("histogram"), _pairs(item.get("top_values"))[:_TOP_SHOWN]
    if isinstance(histogram, Mapping) and "edges" in histogram:
        edges = [float(edge) for edge in histogram["edges"]]
        counts, current = _counts(histogram), histogram.get("current")
        return [
            blocks.figure(
                lambda width: histogram_pair(
                    edges, counts, current, title=f"Distribution of {name}", width=width, height=190
                ),
                name,
            )
        ]
    if len(pairs) < 2:
        return []
    return [
        blocks.figure(
            lambda width: bar_chart(pairs, title=f"Top values of {name}", width=width), name
        )
    ]
