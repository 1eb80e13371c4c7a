"""Write the claims in benchmarks/results/ into the README, between two markers.

python benchmarks/table.py            rewrite the table
python benchmarks/table.py --check    exit with 1 if the table is out of date
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from claims import RECORDED, ROOT, Claim, holds_text, number, ratio_text, read

BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
HEAD = ("claim", "ours", "peer", "ratio", "goal", "holds")
NOTE = """\
Ratio: how many times better ours is. A peer's figure with a star was recorded earlier, not in the
same run; how each was measured stands in `benchmarks/results/`."""


class TableError(Exception):
    """The README or a result cannot be used; says which and why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the table or check it; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if out of date")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args(arguments)
    try:
        return update(options.readme, options.results, check=options.check)
    except TableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def update(readme: Path, results: Path, *, check: bool) -> int:
    """Bring the table up to date; return 1 if `check` finds that it is not.

    Raises:
        TableError: there are no results, one cannot be read, or the markers are missing.
    """
    before = readme.read_text(encoding="utf-8")
    after = with_table(before, markdown(claims_in(results)), str(readme))
    if check:
        if after != before:
            print(f"{readme}: the table is out of date; run python benchmarks/table.py")
        return int(after != before)
    if after != before:
        readme.write_text(after, encoding="utf-8")
    return 0


def claims_in(results: Path) -> list[Claim]:
    """Return the claims of all benchmarks, sorted by benchmark and name."""
    files = sorted(results.glob("*.json"))
    if not files:
        raise TableError(f"expected results of benchmarks in {results}, found none; run make bench")
    return [each for file in files for each in sorted(_read(file), key=lambda one: one.name)]


def _read(file: Path) -> list[Claim]:
    try:
        return read(file)
    except msgspec.DecodeError as error:
        raise TableError(f"{file}: {error}") from error


def with_table(text: str, table: str, where: str) -> str:
    """Put the table between the markers, in place of what was there.

    Raises:
        TableError: the markers are not there once each, in order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise TableError(f"{where}: expected the markers {BEGIN} and {END}, once each, in order")
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}"


def markdown(claims: Iterable[Claim]) -> str:
    """Return the table, with what the star means below."""
    lines = [_line(HEAD), _line(["---"] + ["---:"] * 4 + ["---"])]
    lines += [_line(cells(each)) for each in claims]
    return "\n".join([*lines, "", NOTE])


def cells(each: Claim) -> list[str]:
    """Return one row of the table."""
    star = r"\*" if RECORDED in each.how else ""
    return [
        each.name,
        f"{number(each.ours)} {each.unit}",
        "" if each.peer is None else f"{number(each.peer)}{star}",
        "" if each.ratio is None else ratio_text(each.ratio),
        each.goal or "",
        holds_text(each),
    ]


def _line(parts: Iterable[str]) -> str:
    return f"| {' | '.join(part.replace('|', chr(92) + '|') for part in parts)} |"


if __name__ == "__main__":
    sys.exit(main())
