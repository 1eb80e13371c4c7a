"""Report: one HTML page that carries all it needs and can be mailed, archived and printed."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from markupsafe import Markup

from gristmill.core.atomic import write_atomic
from gristmill.core.errors import UsageError
from gristmill.core.quantities import format_bytes
from gristmill.web import blocks
from gristmill.web.blocks import MAX_ROWS, Picture
from gristmill.web.text import shorten

MAX_BYTES = 1_000_000
"""A report must be smaller than this."""

_NOT_WORD = re.compile(r"[^a-z0-9]+")


class Section:
    """A part of a report: a heading, a lead sentence, and blocks in the order they were added.

    Every method that adds returns the section, so that calls can be chained.
    """

    def __init__(self, title: str, lead: str = "", anchor: str = "") -> None:
        self.title = shorten(title, 120)
        self.lead = lead
        self.anchor = anchor
        self.blocks: list[Markup] = []

    def add(self, block: Markup) -> Self:
        """Add a block made by `gristmill.web.blocks`."""
        self.blocks.append(block)
        return self

    def text(self, source: str) -> Self:
        """Add paragraphs (`blocks.text`)."""
        return self.add(blocks.text(source))

    def facts(self, pairs: Iterable[tuple[str, object]]) -> Self:
        """Add a row of figures (`blocks.facts`)."""
        return self.add(blocks.facts(pairs))

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        caption: str = "",
        *,
        highlight: Iterable[int] = (),
        max_rows: int = MAX_ROWS,
    ) -> Self:
        """Add a table (`blocks.table`)."""
        body = blocks.table(columns, rows, caption, highlight=highlight, max_rows=max_rows)
        return self.add(body)

    def figure(self, picture: Picture, caption: str = "") -> Self:
        """Add a drawing (`blocks.figure`)."""
        return self.add(blocks.figure(picture, caption))

    def code(self, source: str, caption: str = "") -> Self:
        """Add text in a fixed-width face (`blocks.code`)."""
        return self.add(blocks.code(source, caption))

    def findings(self, items: Iterable[Mapping[str, object]]) -> Self:
        """Add findings, errors first (`blocks.findings`)."""
        return self.add(blocks.findings(items))

    def details(self, summary: str, inner: Iterable[Markup]) -> Self:
        """Add blocks folded under a line (`blocks.details`)."""
        return self.add(blocks.details(summary, inner))

    def size(self) -> int:
        """Return the bytes of the section's blocks."""
        return sum(len(block.encode()) for block in self.blocks)


class Report(Section):
    """A page in the making.

    Blocks added to the report itself stand under its title, above the table of contents' first
    section. `section` begins a section and returns it; add to that.

    Args:
        title: heading of the page.
        subtitle: one line under it: project, run, when.
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        super().__init__(title, subtitle, "top")
        self.sections: list[Section] = []

    def section(self, title: str, lead: str = "") -> Section:
        """Begin a section and return it; its anchor is made from its title."""
        stem = _NOT_WORD.sub("-", title.lower())[:60].strip("-") or "section"
        taken = {"top", *(section.anchor for section in self.sections)}
        anchor, count = stem, 1
        while anchor in taken:
            count += 1
            anchor = f"{stem}-{count}"
        self.sections.append(Section(title, lead, anchor))
        return self.sections[-1]

    def render(self) -> str:
        """Return the page. The same content gives the same bytes."""
        style, script = blocks.asset("report.css"), blocks.asset("sort.js")
        return str(
            blocks.render(
                "report",
                report=self,
                style=Markup(style),  # noqa: S704
                script=Markup(script),  # noqa: S704
                policy=content_policy(style, script),
            )
        )

    def write(self, path: str | Path) -> Path:
        """Write the page to `path`, whole or not at all, and return the path.

        Raises:
            UsageError: the page would be 1 MB or more; the largest section is named.
        """
        page = self.render().encode()
        if len(page) >= MAX_BYTES:
            largest = max([self, *self.sections], key=lambda section: section.size())
            raise UsageError(
                f"expected a report under {format_bytes(MAX_BYTES)}, "
                f"found {format_bytes(len(page))}; the largest section is {largest.title!r} "
                f"with {format_bytes(largest.size())}",
                where=str(path),
                fix="show fewer rows or examples there",
            )
        write_atomic(Path(path), page)
        return Path(path)


def content_policy(style: str, script: str) -> str:
    """Return a content policy that allows this style and this script, and no request at all."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(source: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"
