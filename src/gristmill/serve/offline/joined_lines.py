"""Answers in lines of text, joined as they are found: each part is written once, where it stays.

The file grows beside the output and becomes it in the end. It survives a kill: what the ledger
says is in it stays, and what was being written behind that is cut off.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial

import polars as pl

from gristmill.serve.offline.ledger import ANSWERS, Ledger
from gristmill.serve.offline.output import Output, to_disk
from gristmill.serve.offline.part_writer import FinishedPart
from gristmill.serve.offline.summed_file import SummedFile


def join_lines(parts: Iterable[FinishedPart], output: Output, ledger: Ledger) -> None:
    """Write the lines of all parts; the output is there, whole, when this returns.

    Args:
        parts: all of them, in order. What an earlier run has joined is not written again; what lies
            in a file of its own moves over.
        output: CSV, TSV or JSON Lines.
        ledger: where the lines are, and what is told that they are joined.

    Raises:
        OSError: the disk refuses.
        ServeError: a finished part has changed since it was written.
    """
    with ledger.joined.open("r+b" if ledger.joined.exists() else "w+b") as file:
        summed = SummedFile(file)
        for number, record, held in to_disk(parts, file):
            if number == 0:
                file.write(output.header(record.columns))
            at = file.tell()
            if isinstance(held, pl.DataFrame):
                found = summed.sums_of(partial(output.write_lines, held))
            elif held is not None:
                found = summed.sums_of(held)
            elif (found := record.files[ANSWERS]).at is not None:
                file.seek(found.at + found.size)
                continue
            else:
                file.write(ledger.read(number, ANSWERS, found))
            file.flush()
            ledger.finish(number, record.joined_at(at, found))
            if held is None:
                ledger.path(number, ANSWERS).unlink()
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    ledger.joined.replace(output.path)
