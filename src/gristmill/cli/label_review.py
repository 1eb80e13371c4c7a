"""`gristmill label review`: ask an expert about the rows where an answer is worth most."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from gristmill.cli.label_options import FILE, input_options, model_option
from gristmill.cli.output import HELP, emit, json_option, say
from gristmill.cli.places import Place
from gristmill.core.errors import ServeError, UsageError

if TYPE_CHECKING:
    import polars as pl

    from gristmill.cli.label_inputs import Inputs
    from gristmill.label.review.answers import Answers
    from gristmill.label.review.server import ReviewServer
    from gristmill.label.review.session import Session


@click.command("review", context_settings=HELP)
@click.argument("functions", type=FILE)
@click.argument("data", type=Place(dir_okay=False))
@click.option(
    "--answers",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("answers.jsonl"),
    show_default=True,
    help="File that answers are added to.",
)
@click.option("--annotator", help="Who answers. [default: your login name]")
@click.option(
    "-k",
    "--rows",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="How many rows to ask about.",
)
@click.option(
    "--random",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Share of them that is drawn at random.",
)
@click.option("--again", is_flag=True, help="Rows that others answered: a second opinion.")
@click.option("--blind", is_flag=True, help="Show neither votes nor probabilities.")
@click.option("--web", is_flag=True, help="Ask in a browser on this machine.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port for --web. [default: any that is free]",
)
@input_options
@model_option
@click.option("--seed", default=0, show_default=True, help="Of the rows drawn at random.")
@json_option
def command(
    functions: Path,
    data: Path | str,
    answers: Path,
    annotator: str | None,
    rows: int,
    random: float,
    again: bool,
    blind: bool,
    web: bool,
    port: int,
    classes: str | None,
    gold: Path | None,
    model: str,
    on_error: Literal["raise", "abstain"] | None,
    cache: Path | None,
    engine: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Answer the rows of DATA where an expert's word is worth most.

    Labels DATA as `gristmill label` does, with the answers so far as gold, and asks about the rows
    that are uncertain, stand for many others, and on which sources disagree. One key per class;
    each answer is on the disk before the next row is shown. Stop whenever you like.

    The answers are gold for the next round: `--gold answers.jsonl`. --json prints the rows to ask
    about, and asks nothing.

    \b
    Example:
      gristmill label review rules.py messages.csv --annotator ann
      gristmill label review rules.py messages.csv --web
      gristmill label rules.py messages.csv -o labels-2 --gold answers.jsonl

    \b
    Exit codes:
      0   done, or you quit
      2   wrong call, or a mistake in FUNCTIONS
      5   rows, gold or answers that cannot be used
      10  --port is taken
    """
    from gristmill.cli.label_inputs import fitted, read_inputs
    from gristmill.label.review.answers import AnswerFile, Answers
    from gristmill.label.review.queue import review_queue
    from gristmill.label.review.session import Session, check_annotator

    who = check_annotator(annotator if annotator is not None else _login())
    known = Answers.load(answers) if answers.exists() else Answers(())
    inputs = read_inputs(
        functions, data, classes=classes, gold=gold, on_error=on_error, cache=cache, engine=engine
    )
    inputs = _with_answers(inputs, known, answers)
    _, labels = fitted(inputs, model)
    queue = review_queue(
        inputs.votes,
        labels,
        k=rows,
        answered=known.frame["row_id"],
        again=again,
        exclude=known.seen_by(who),
        random=random,
        seed=seed,
    )
    if as_json:
        emit({"annotator": who, "rows": queue.to_dicts()}, as_json, lambda: None)
        return
    if not queue.height:
        say(f"there is nothing to ask about: {_why_nothing(again)}")
        return
    check_answers(answers)
    session = Session(labels, inputs.frame, queue, AnswerFile(answers), who, blind=blind)
    _ask(session, inputs, web, port)


def check_answers(file: Path) -> None:
    """Raise an error before the first question where no answer could be written.

    Raises:
        UsageError: the file, or the folder it would be in, cannot be written.
    """
    place = file if file.exists() else file.parent
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK) or not (place == file or place.is_dir()):
        raise UsageError(
            "answers cannot be written there", where=str(file), fix="choose another --answers"
        )


def _why_nothing(again: bool) -> str:
    if again:
        return "no row has an answer of somebody else; leave --again out"
    return "every row has an answer, or was skipped"


def _with_answers(inputs: Inputs, known: Answers, file: Path) -> Inputs:
    """Add the answers so far to the gold."""
    from dataclasses import replace
    from functools import partial

    import polars as pl

    from gristmill.cli.about import about
    from gristmill.cli.label_inputs import of_ids, read_gold
    from gristmill.label.gold import gold_codes

    if not len(known):
        return inputs
    mine = read_gold(file, partial(of_ids, inputs.frame))
    both = [mine] if inputs.gold is None else [_as_answers(inputs.gold, inputs.votes.classes), mine]
    gold = pl.concat(both, how="vertical_relaxed")
    with about(file):
        gold_codes(gold, inputs.votes)
    return replace(inputs, gold=gold)


def _as_answers(gold: pl.DataFrame, classes: tuple[str, ...]) -> pl.DataFrame:
    """Return gold in the columns of answers, labels by name."""
    import polars as pl

    from gristmill.label.codes import VoteCodes

    codes = VoteCodes(classes).encode_all(gold["label"].to_list())
    names = [classes[code] if code >= 0 else None for code in codes.tolist()]
    gold = gold.with_columns(pl.Series("label", names, dtype=pl.String))
    for column, value in (("annotator", "gold"), ("drawn", "random")):
        if column not in gold.columns:
            gold = gold.with_columns(pl.lit(value).alias(column))
    return gold.select("row_id", "label", "annotator", "drawn")


def _ask(session: Session, inputs: Inputs, web: bool, port: int) -> None:
    from gristmill.cli.label_prompt import Prompt
    from gristmill.label.review.screen import summary

    server = _server(session, Path(inputs.data).name, port) if web else None
    try:
        if server is None:
            Prompt(session).run()
        else:
            _serve(server)
    finally:
        say(summary(session))
    if session.answered:
        say(
            f"next: gristmill label {inputs.functions} {inputs.data} -o labels "
            f"--gold {session.file.path}"
        )


def _server(session: Session, title: str, port: int) -> ReviewServer:
    from gristmill.label.review.server import ReviewServer

    try:
        return ReviewServer(session, title, port)
    except OSError as error:
        raise ServeError(
            f"the page cannot be served on port {port}: {error}",
            fix="choose another --port, or none",
        ) from error


def _serve(server: ReviewServer) -> None:
    with server:
        say(f"open {server.url}")
        say("stop with Ctrl-C; answers are saved one by one")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say()


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
