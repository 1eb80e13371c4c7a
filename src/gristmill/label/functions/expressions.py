"""Labelling functions that are Polars expressions, for the rules that people write most.

Nothing here imports Polars until the expression is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, Union

from gristmill.core.errors import LabelError
from gristmill.label.functions.function import LabelingFunction
from gristmill.label.vote import Vote

if TYPE_CHECKING:
    import polars as pl

Condition: TypeAlias = Union[Callable[[], "pl.Expr"], "pl.Expr"]


def keywords(
    name: str,
    words: Sequence[str],
    vote: Vote,
    column: str = "text",
    *,
    whole_words: bool = True,
    ignore_case: bool = True,
) -> LabelingFunction:
    """Vote where the column holds any of the words, abstain elsewhere.

    Args:
        name: name of the labelling function.
        words: words or phrases, taken literally.
        vote: class index or name.
        column: text column to look in; an empty cell abstains.
        whole_words: "win" does not find "window".
        ignore_case: letters match in either case.

    Raises:
        LabelError: no words, or an empty one.
    """
    if isinstance(words, str) or not words or not all(words):
        raise LabelError(
            f"expected a list of non-empty words, found {words!r}",
            where=f"labelling function {name!r}",
        )
    body = "|".join(_literal(word, whole_words) for word in words)
    return pattern(name, f"(?:{body})", vote, column, ignore_case=ignore_case)


def pattern(
    name: str, regex: str, vote: Vote, column: str = "text", *, ignore_case: bool = False
) -> LabelingFunction:
    """Vote where the column matches a regular expression (Rust's dialect, as in Polars).

    Args:
        name: name of the labelling function.
        regex: found anywhere in the text.
        vote: class index or name.
        column: text column to look in; an empty cell abstains.
        ignore_case: letters match in either case.
    """
    resources = {"regex": f"(?i){regex}" if ignore_case else regex, "column": column, "vote": vote}
    return LabelingFunction(name, _pattern_expression, kind="expression", resources=resources)


def lookup(
    name: str, column: str, mapping: Mapping[str, Vote] | Mapping[int, Vote]
) -> LabelingFunction:
    """Vote by a table from the column's values to votes; abstain on values that it lacks.

    Raises:
        LabelError: the table is empty.
    """
    if not mapping:
        raise LabelError(
            "expected a table of votes, found none", where=f"labelling function {name!r}"
        )
    resources = {"column": column, "mapping": dict(mapping)}
    return LabelingFunction(name, _lookup_expression, kind="expression", resources=resources)


def where(name: str, condition: Condition, vote: Vote) -> LabelingFunction:
    """Vote where a Polars condition holds, abstain where it is false or null.

    Args:
        name: name of the labelling function.
        condition: a Polars expression, or a function that returns one, called when it is needed:
            `where("long", lambda: pl.col("text").str.len_chars() > 300, "ham")`.
        vote: class index or name.
    """
    resources = {"condition": condition, "vote": vote}
    return LabelingFunction(name, _condition_expression, kind="expression", resources=resources)


def _literal(word: str, whole: bool) -> str:
    """Return a regular expression for a word, bounded only at ends that are letters or digits."""
    body = re.escape(word)
    if not whole:
        return body
    left = r"\b" if re.match(r"\w", word[0]) else ""
    right = r"\b" if re.match(r"\w", word[-1]) else ""
    return f"{left}{body}{right}"


def _pattern_expression(regex: str, column: str, vote: Vote) -> pl.Expr:
    import polars as pl

    return pl.when(pl.col(column).str.contains(regex)).then(pl.lit(vote))


def _lookup_expression(column: str, mapping: Mapping[str | int, Vote]) -> pl.Expr:
    import polars as pl

    return pl.col(column).replace_strict(dict(mapping), default=None)


def _condition_expression(condition: Condition, vote: Vote) -> pl.Expr:
    import polars as pl

    test = condition() if callable(condition) else condition
    return pl.when(test).then(pl.lit(vote))
