"""How fast labelling functions vote, and what the edit of one of many costs.

Real text messages, repeated up to the number of rows asked for. All figures are CPU seconds of all
threads, so that they say nothing about how many cores there are or how busy they are. Snorkel is
measured in the same run where it can be imported.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import polars as pl

from claims import RECORDED, Claim, claim, cpu_seconds, main, median_of, must
from gristmill import data, label

CLASSES = ("ham", "spam")
WORDS = (
    "free", "call", "prize", "txt", "win", "urgent", "claim", "mobile", "stop", "cash",
    "lol", "sorry", "home", "love", "later", "ok", "good", "day", "time", "want",
    "know", "need", "tell", "today", "tomorrow", "tonight", "night", "morning", "week", "work",
    "phone", "reply", "text", "send", "message", "new", "great", "happy", "miss", "dear",
    "hope", "think", "please", "thanks", "yes", "babe", "way", "people", "friends", "number",
)  # fmt: skip
SNORKEL_VOTES = 0.227
SNORKEL_PREPROCESSED = 6.9


def measure(quick: bool) -> Iterator[Claim]:
    rows = 20_000 if quick else 100_000
    texts = messages(rows)
    yield expression_claim(texts)
    yield row_claim(texts)
    yield preprocessed_claim(texts.head(rows // 5))
    yield edit_claim("expressions", edited_share(texts, expression), rows)
    yield edit_claim("functions of a row", edited_share(texts, of_row), rows)
    yield memory_claim(500_000 if quick else 10_000_000)


def expression_claim(texts: pl.DataFrame) -> Claim:
    speed = votes_per_second([expression(word) for word in WORDS[:10]], texts)
    peer, whose = snorkel_votes(texts)
    how = f"{len(texts):,} messages x 10 keywords, a Polars expression each; peer {whose}"
    return claim(
        "votes of expressions", speed / 1e6, "million/CPU s", how, goal=">= 10", peer=peer / 1e6
    )


def row_claim(texts: pl.DataFrame) -> Claim:
    speed = votes_per_second([of_row(word) for word in WORDS[:10]], texts)
    peer, whose = snorkel_votes(texts)
    how = (
        f"{len(texts):,} messages x 10 keywords, a Python function each; "
        f"a bare loop over the texts {bare_loop(texts) / 1e6:.1f} million; peer {whose}"
    )
    return claim(
        "votes of functions of a row", speed / 1e6, "million/CPU s", how,
        goal=">= 3", peer=peer / 1e6,
    )  # fmt: skip


def preprocessed_claim(texts: pl.DataFrame) -> Claim:
    speed = votes_per_second([of_lowered(word) for word in WORDS[:10]], texts)
    how = (
        f"{len(texts):,} messages x 10 keywords that share a preprocessor; "
        f"peer Snorkel 0.10 PandasLFApplier, no memo {RECORDED}"
    )
    return claim(
        "votes with a shared preprocessor", speed / 1e3, "thousand/CPU s", how,
        goal=">= 690", peer=SNORKEL_PREPROCESSED,
    )  # fmt: skip


def edit_claim(kind: str, share: float, rows: int) -> Claim:
    how = f"CPU after the edit of one of {len(WORDS)}, with the cache, {rows:,} messages"
    return claim(f"edit of one of 50 {kind}", 100 * share, "% of all anew", how, goal="<= 5")


def memory_claim(rows: int) -> Claim:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "messages.parquet"
        many = pl.concat([messages(100_000).drop("row_id").lazy()] * (rows // 100_000))
        many.sink_parquet(file, row_group_size=50_000)
        spent = must([sys.executable, Path(__file__), "--apply-file", file])
    how = f"{rows:,} messages in a Parquet file x 10 keywords (8 expressions, 2 Python functions), "
    how += f"votes kept in memory, peak of the process; {spent.cpu_seconds:.0f} CPU s"
    return claim("memory of an application", float(spent.stdout), "GB", how, goal="<= 2")


def apply_file(file: str) -> int:
    """Apply ten functions to a file, and print the peak memory of this process in GB."""
    functions = [expression(word) for word in WORDS[:8]] + [of_row(word) for word in WORDS[8:10]]
    votes = label.apply(functions, file, classes=CLASSES)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
    print(peak / 1e9)
    return 0 if len(votes) else 1


def messages(rows: int) -> pl.DataFrame:
    """Return real messages over and over, with running row ids."""
    texts = data.load("sms_spam")["text"]
    repeated = pl.concat([texts] * -(-rows // len(texts))).head(rows)
    return pl.DataFrame({"row_id": pl.int_range(rows, eager=True), "text": repeated})


def expression(word: str) -> label.LabelingFunction:
    """Make a keyword rule that is a Polars expression."""
    return label.keywords(word, [word], "spam", whole_words=False)


def of_row(word: str) -> label.LabelingFunction:
    """Make a keyword rule that is a Python function of a row."""

    def contains(row: label.Row, word: str) -> int:
        return 1 if word in row.text.lower() else -1  # type: ignore[attr-defined]

    return label.LabelingFunction(word, contains, kind="row", resources={"word": word})


@label.preprocessor
def lowered(row: label.Row) -> dict[str, object]:
    return {"lower": str(row["text"]).lower()}


def of_lowered(word: str) -> label.LabelingFunction:
    """Make a keyword rule that reads a preprocessor's field."""

    def contains(row: label.Row, word: str) -> int:
        return 1 if word in row["lower"] else -1  # type: ignore[operator]

    return label.LabelingFunction(
        word, contains, kind="row", resources={"word": word}, pre=[lowered]
    )


def votes_per_second(functions: Sequence[label.LabelingFunction], texts: pl.DataFrame) -> float:
    """Return votes per CPU second, the median of three after one that warms up."""

    def apply() -> None:
        label.apply(functions, texts, classes=CLASSES)

    return len(functions) * len(texts) / median_of(3, lambda: cpu_seconds(apply))


def bare_loop(texts: pl.DataFrame) -> float:
    """Return how often per CPU second Python does the rule itself: no function, row or vote."""
    found = texts["text"].to_list()

    def look() -> None:
        for word in WORDS[:10]:
            [1 if word in text.lower() else -1 for text in found]

    return 10 * len(found) / median_of(3, lambda: cpu_seconds(look))


def edited_share(texts: pl.DataFrame, make: Callable[[str], label.LabelingFunction]) -> float:
    """Return the CPU of applying fifty functions after one was edited, as a share of all anew."""
    functions = [make(word) for word in WORDS]
    shares = []
    for word in ("gift", "bonus", "winner"):
        edited = [make(word), *functions[1:]]
        with tempfile.TemporaryDirectory() as folder:
            cache = label.VoteCache(Path(folder))
            anew = cpu_seconds(
                lambda: label.apply(functions, texts, classes=CLASSES, cache=cache)  # noqa: B023
            )
            again = cpu_seconds(
                lambda: label.apply(edited, texts, classes=CLASSES, cache=cache)  # noqa: B023
            )
        shares.append(again / anew)
    return statistics.median(shares)


def snorkel_votes(texts: pl.DataFrame) -> tuple[float, str]:
    """Return Snorkel's votes per CPU second with ten keyword functions, and how it is known."""
    try:
        import pandas as pd
        from snorkel.labeling import (  # type: ignore[import-not-found]
            LabelingFunction,
            PandasLFApplier,
        )
    except ImportError:
        return SNORKEL_VOTES * 1e6, f"Snorkel 0.10 PandasLFApplier, comments {RECORDED}"

    def contains(row: pd.Series, word: str) -> int:
        return 1 if word in row.text.lower() else -1

    functions = [
        LabelingFunction(name=word, f=contains, resources={"word": word}) for word in WORDS[:10]
    ]
    # As plain objects: Snorkel is more than twice as slow on the string columns of pandas 3.
    frame = pd.DataFrame({"text": pd.Series(texts["text"].to_list(), dtype=object)})
    applier = PandasLFApplier(functions)
    seconds = cpu_seconds(lambda: applier.apply(frame, progress_bar=False))
    return len(functions) * len(frame) / seconds, "Snorkel PandasLFApplier in the same run"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--apply-file"]:  # in a process of its own, whose memory is measured
        sys.exit(apply_file(sys.argv[2]))
    sys.exit(main(measure))
