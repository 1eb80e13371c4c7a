"""Replay years of real data as traffic against a running server, with the loop and without it.

    python replay.py us_accidents          drift from year to year: some minutes
    python replay.py acs                   hardly any drift: the model stays as it is

The same rows go to two models of one server, in order: `live`, whose version the loop exchanges,
and `first`, the version of the first day. Their truth comes back late. At the end of each period
`gristmill monitor` looks at what was served; where it finds drift it runs the pipeline, whose gate
decides. Ctrl-C stops the replay and its server; the same command goes on.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from figures import Look, Row, closing, heading, line, quality
from picture import write_page
from settling import followed, live_version, settled
from shifted_time import ShiftedTime
from streams import STREAMS, Period, Stream
from traffic import FIRST, LIVE, Traffic

from gristmill.core.errors import GristmillError, StepError, UsageError
from gristmill.pipeline import gather_feedback
from gristmill.serve import Client, Settings, running_server

HERE = Path(__file__).parent
PROJECT = HERE / "project"
MODEL = "outcome"
_BEFORE = dt.timedelta(days=60)
"""From the day of the first model to the middle of the first period."""
_ROWS = "rows.jsonl"
_WHAT = "replay.json"
_QUIET = Settings(log_level="error")
_LOOKED = (0, 3, 4, 6)
"""Exit codes of a look that was taken, whatever it found and whatever came of it."""


class What(msgspec.Struct, frozen=True):
    """What a folder is a replay of.

    Attributes:
        stream: the data set.
        rows: most rows of a period; 0 for all.
        parts: periods a year.
        late: rows that are served before the truth of one is told.
        seed: of the order of a year's rows.

    Raises:
        UsageError: a number that makes no sense.
    """

    stream: str
    rows: int
    parts: int
    late: int
    seed: int

    def __post_init__(self) -> None:
        for name, least in (("rows", 0), ("parts", 1), ("late", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"--{name}: expected {least} or more, found {getattr(self, name)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay a stream, print the table and write the page."""
    options = parser().parse_args(arguments)
    try:
        what = What(options.stream, options.rows, options.parts, options.late, options.seed)
        folder = options.folder or HERE / "out" / what.stream
        stream = STREAMS[what.stream](what.rows or None, what.parts, what.seed)
        rows = Replay(stream, what, folder).run()
        page = write_page(folder / "report.html", what.stream, stream, rows)
    except GristmillError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nstopped, and the server with it; the same command goes on here")
        return 130
    print(f"\n{closing(rows)}\nthe picture: {page}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what the command line understands."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("stream", choices=sorted(STREAMS), help="the data set")
    add(
        "--folder", type=Path, help="where the replay lives; by default out/STREAM beside this file"
    )
    add("--rows", type=int, default=2000, help="most rows of a period, 0 for all; 2000")
    add("--parts", type=int, default=4, help="periods a year; 4")
    add("--late", type=int, default=500, help="rows served before a row's truth is told; 500")
    add("--seed", type=int, default=0, help="of the order of a year's rows")
    return made


class Replay:
    """A replay in a folder of its own, which is a project like any other.

    Args:
        stream: what is replayed.
        what: how; a folder is of one replay.
        folder: made if need be.
    """

    def __init__(self, stream: Stream, what: What, folder: Path) -> None:
        self.stream, self.what, self.folder = stream, what, folder.resolve()
        self.served = self.folder / "serving" / "served" / LIVE
        self.clock = ShiftedTime(self.folder / "clock.bin")
        self.clock.for_children()

    def run(self) -> list[Row]:
        """Replay what was not replayed yet; return all periods.

        Raises:
            UsageError: the folder holds something else.
            StepError: the pipeline or the monitoring failed.
            ServeError: the server did not start, or does not answer.
        """
        self._begin()
        rows = self._replayed()
        print(heading())
        for row in rows:
            print(line(row))
        periods = self.stream.periods[len(rows) :]
        if not periods:
            return rows
        traffic = Traffic(self.stream, self.served, self.what.late)
        self.clock.set(periods[0].middle)
        with running_server(self.folder / "serving.toml", _QUIET) as server:
            for period in periods:
                start = sum(row.rows for row in rows)
                rows.append(self._period(period, start, traffic, server.client))
                with (self.folder / _ROWS).open("ab") as file:
                    file.write(msgspec.json.encode(rows[-1]) + b"\n")
                print(line(rows[-1]), flush=True)
        return rows

    def _period(self, period: Period, start: int, traffic: Traffic, client: Client) -> Row:
        """Send a period's rows, tell what is due to be told, and let monitoring look."""
        self.clock.set(period.middle)
        end = start + period.rows.height
        truth = traffic.truth(start, end)
        with_loop = quality(truth, traffic.live(client, start, end))
        without = quality(truth, traffic.first(client, start, end))
        traffic.tell(client)
        settled(client, self.served, end)
        gather_feedback(self.served, self.folder / "feedback", by_key=True)
        look = self._look(client)
        return Row(period.name, len(truth), float(truth.mean()), without, with_loop, look)

    def _look(self, client: Client) -> Look:
        """Call `gristmill monitor`, and return when the server answers with what came of it."""
        before = live_version(client)
        found = json.loads(self._call("monitor", "--json", accept=_LOOKED))
        outcome = found["outcome"] or {"action": "", "version": found["version"]}
        if outcome["action"] == "promoted":
            followed(client, before)
        findings = [
            each["code"] if each["feature"] is None else f"{each['code']} of {each['feature']}"
            for each in found["report"]["findings"]
            if each["severity"] != "info"
        ]
        return Look(
            found["version"], findings, found["action"], found["reasons"], outcome["action"],
            outcome["version"],
        )  # fmt: skip

    def _call(self, *arguments: str, accept: Sequence[int] = (0,)) -> str:
        """Call `gristmill` in the project, at the replay's time; return what it prints.

        What it says beside goes to `commands.log`.

        Raises:
            StepError: it exits with a code that is not accepted.
        """
        command = [sys.executable, "-m", "gristmill", *arguments]
        with (self.folder / "commands.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
                command, cwd=self.folder, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        try:
            printed, _ = process.communicate()
        except KeyboardInterrupt:  # it stops at a good place, and has to be waited for
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
        if process.returncode not in accept:
            raise StepError(
                f"`gristmill {' '.join(arguments)}` exited with {process.returncode}",
                where=str(self.folder),
                fix="its last lines are in commands.log",
            )
        return printed.decode()

    def _begin(self) -> None:
        """Make the project, its first model and the alias of it, unless they are there."""
        said = self.folder / _WHAT
        if said.exists():
            if msgspec.json.decode(said.read_bytes(), type=What) != self.what:
                raise UsageError(
                    f"the folder holds another replay: {said.read_text()}",
                    where=str(self.folder),
                    fix="name another --folder, or remove this one",
                )
            return
        print(f"{self.stream.question} learning from {self.stream.history.height:,} rows")
        shutil.copytree(PROJECT, self.folder, dirs_exist_ok=True)
        self.stream.history.write_parquet(self.folder / "history.parquet")
        self.clock.set(self.stream.periods[0].middle - _BEFORE)
        self._call("run")
        why = "it answers as if there were no loop"
        self._call("promote", MODEL, "1", "--alias", FIRST, "--reason", why)
        said.write_bytes(msgspec.json.encode(self.what))

    def _replayed(self) -> list[Row]:
        file = self.folder / _ROWS
        lines = file.read_bytes().splitlines() if file.exists() else []
        return [msgspec.json.decode(each, type=Row) for each in lines]


if __name__ == "__main__":
    sys.exit(main())
