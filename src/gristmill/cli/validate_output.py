"""What the `validate` commands show and write of a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.cli.output import plain_terminal, say, say_folded, terminal_width

if TYPE_CHECKING:
    from gristmill.data.stream import TableStream
    from gristmill.validate.checks.report import Report
    from gristmill.validate.schemas.schema import Schema


def reading_notes(stream: TableStream, rows: int) -> list[str]:
    """Say what was mended and set aside while a stream was read, a sentence each."""
    from gristmill.validate.checks.reading import check_reading

    drafts = check_reading(stream.unreadable, stream.unreadable_count, stream.notes, rows)
    return [draft.message for draft in drafts]


def say_notes(notes: Sequence[str]) -> None:
    """Print notes, folded to the terminal."""
    for note in notes:
        say_folded(f"note: {note}")


def show_report(report: Report, saved_as: Path | None = None) -> None:
    """Print a report: the verdict, findings with evidence, features side by side."""
    from gristmill.validate.checks.tables import report_lines

    for line in report_lines(report, terminal_width(), ascii_only=plain_terminal()):
        say(line)
    if report.edits and saved_as is not None:
        say()
        say(f"to accept changes of the schema: gristmill validate accept {saved_as}")


def write_report_files(
    report: Report,
    page: Path | None,
    junit: Path | None,
    *,
    schema: Schema | None = None,
    saved_as: Path | None = None,
) -> None:
    """Write the page and the JUnit file that were asked for."""
    if page is not None:
        from gristmill.web.validation.page import write_validation_page

        write_validation_page(report, page, schema=schema, saved_as=saved_as)
    if junit is not None:
        from gristmill.core.atomic import write_atomic
        from gristmill.validate.checks.junit import to_junit

        write_atomic(junit, to_junit(report, suite=report.name).encode())
