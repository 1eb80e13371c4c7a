"""Sources of spans: functions of a document, word lists, regular expressions."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Literal, TypeAlias

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.progress import track
from gristmill.label.spans.bio import Span
from gristmill.label.spans.documents import Document, Documents, tokenize
from gristmill.label.spans.span_votes import SpanVotes, check_span_classes, encode_documents
from gristmill.label.votes import check_names

Found: TypeAlias = "Iterable[tuple[int, int, str | int]]"
"""Spans as a function returns them: first token, one past the last, class name or index."""

_END = ""


class SpanFunction:
    """A source of spans with a name, made by `@span_function`, `gazetteer` or `span_pattern`."""

    def __init__(self, name: str, function: Callable[[Document], Found], mark: object = None):
        if not name.strip() or name == "<lambda>":
            raise LabelError("a span function needs a name", fix="pass name=")
        self.name = name
        self.function = function
        self._mark = mark

    def __call__(self, document: Document) -> Found:
        """Return the spans found in a document."""
        return self.function(document)

    def __fingerprint__(self) -> str:
        from gristmill.core.code import fingerprint_callable

        if self._mark is not None:
            return fingerprint(self._mark)
        return fingerprint_callable(self.function)

    def __repr__(self) -> str:
        return f"SpanFunction({self.name!r})"


def span_function(
    function: Callable[[Document], Found] | None = None, *, name: str | None = None
) -> SpanFunction | Callable[[Callable[[Document], Found]], SpanFunction]:
    """Make a source of spans of a function; use bare or with a name.

    ```
    @span_function
    def titles(document):
        for place, token in enumerate(document.tokens[:-1]):
            if token == "Mr":
                yield place + 1, place + 2, "PER"
    ```
    """

    def decorate(wrapped: Callable[[Document], Found]) -> SpanFunction:
        return SpanFunction(name or wrapped.__name__, wrapped)

    return decorate if function is None else decorate(function)


def gazetteer(
    name: str, entries: Iterable[str | Sequence[str]], label: str | int, *, cased: bool = True
) -> SpanFunction:
    """Make a source that finds the entries of a list; of those that begin at a token, the longest.

    Args:
        name: of the source.
        entries: texts, or lists of tokens.
        label: class of all entries.
        cased: whether case counts.

    Raises:
        LabelError: there are no entries, or one has no tokens.
    """
    fold = str if cased else str.casefold
    trie: dict[str, dict] = {}  # type: ignore[type-arg]
    listed = [tokenize(each) if isinstance(each, str) else tuple(each) for each in entries]
    if not listed or not all(listed):
        raise LabelError("expected entries of one or more tokens", where=f"gazetteer {name!r}")
    for tokens in listed:
        node = trie
        for token in tokens:
            node = node.setdefault(fold(token), {})
        node[_END] = {}

    def find(document: Document) -> Iterator[tuple[int, int, str | int]]:
        tokens, place = [fold(token) for token in document.tokens], 0
        while place < len(tokens):
            end = _longest(trie, tokens, place)
            if end > place:
                yield place, end, label
            place = max(end, place + 1)

    return SpanFunction(name, find, ["gazetteer", sorted(set(listed)), label, cased])


def span_pattern(
    name: str, pattern: str, label: str | int, *, ignore_case: bool = False
) -> SpanFunction:
    """Make a source that finds a regular expression in the text, tokens joined by single blanks.

    A match becomes the tokens that it touches; with a group named `span`, those of the group.

    Args:
        name: name of the source.
        pattern: in the syntax of Python's `re`.
        label: class index or name of the spans.
        ignore_case: letters match in either case.

    Raises:
        LabelError: the pattern does not compile.
    """
    try:
        compiled = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except re.error as error:
        raise LabelError(f"{pattern!r} is no pattern: {error}", where=f"source {name!r}") from error
    group: str | Literal[0] = "span" if "span" in compiled.groupindex else 0

    def find(document: Document) -> Iterator[tuple[int, int, str | int]]:
        starts = list(accumulate((len(token) + 1 for token in document.tokens), initial=0))[:-1]
        ends = [start + len(token) for start, token in zip(starts, document.tokens, strict=True)]
        for match in compiled.finditer(document.text):
            first = bisect_right(ends, match.start(group))
            stop = bisect_left(starts, match.end(group))
            if match.start(group) >= 0 and first < stop:
                yield first, stop, label

    return SpanFunction(name, find, ["span pattern", compiled, label])


def apply_spans(
    functions: Sequence[SpanFunction], documents: Documents, *, classes: Sequence[str]
) -> SpanVotes:
    """Ask every source about every document; of overlapping spans of one source the longest stays.

    Raises:
        LabelError: no functions, names not unique, a function raised, or a span lies outside its
            document or is of no class. The message names source and document.
    """
    if not functions:
        raise LabelError("no span functions", fix="decorate some with @span_function")
    if not isinstance(documents, Documents):
        raise LabelError(
            f"expected documents, found {type(documents).__name__}",
            fix="make them with Documents.from_table(table, column) or Documents.of(tokens)",
        )
    check_names([function.name for function in functions])
    known = check_span_classes(classes)
    codes: dict[object, int] = {name: code for code, name in enumerate(known)}
    codes |= {code: code for code in range(len(known))}
    columns = {
        function.name: encode_documents(
            documents, [_spans(function, document, codes) for document in documents]
        )
        for function in track(functions, "tag spans", len(functions), "sources")
    }
    return SpanVotes.of(documents, columns, known, [fingerprint(each) for each in functions])


def _longest(trie: Mapping[str, Mapping], tokens: Sequence[str], place: int) -> int:  # type: ignore[type-arg]
    """Return where the longest entry that begins at a place ends; the place itself if none does."""
    node, best = trie, place
    for end in range(place, len(tokens)):
        if tokens[end] not in node or tokens[end] == _END:
            break
        node = node[tokens[end]]
        best = end + 1 if _END in node else best
    return best


def _spans(function: SpanFunction, document: Document, codes: Mapping[object, int]) -> list[Span]:
    where = f"span function {function.name!r}, document {document.row_id!r}"
    try:
        found = list(function(document))
    except Exception as error:
        raise LabelError(f"raised {type(error).__name__}: {error}", where=where) from error
    return [_span(each, len(document.tokens), codes, where) for each in found]


def _span(found: object, length: int, codes: Mapping[object, int], where: str) -> Span:
    match found:
        case (int(start), int(end), str() | int() as label) if (
            0 <= start < end <= length and label in codes and not isinstance(label, bool)
        ):
            return start, end, codes[label]
    names = ", ".join(code for code in codes if isinstance(code, str))
    raise LabelError(
        f"found {found!r}; expected (first token, one past the last, class) within {length} "
        f"tokens, of a class out of {names}",
        where=where,
    )
