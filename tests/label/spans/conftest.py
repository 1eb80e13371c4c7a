from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from gristmill.label.spans.bio import Span, encode
from gristmill.label.spans.documents import Documents
from gristmill.label.spans.span_votes import SpanVotes, encode_documents

FORMS, WORDS = 300, 1500


@dataclass(frozen=True)
class Tagged:
    """Votes drawn from known spans."""

    votes: SpanVotes
    gold: NDArray[np.int16]


class Corpus:
    """Documents with spans; a span has a form, out of few that are common and many that are rare.

    Sources know forms, so that they miss the same mentions again and again, and take words that
    are in no span for forms; a quarter of all forms no source knows but by its context.
    """

    def __init__(self, documents: int, classes: int, density: float, seed: int) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.classes = classes
        self.lengths = np.clip(rng.poisson(20, documents), 3, 60)
        frequency = 1 / np.arange(1, FORMS + 1)
        long = np.minimum(rng.geometric(0.6, (classes, FORMS)), 4)
        balance = rng.dirichlet(np.full(classes, 3.0))
        self.hard = rng.random((classes, FORMS)) < 0.25
        self.spans: list[list[tuple[int, int, int, int]]] = []
        for length in self.lengths.tolist():
            mine, place = [], 0
            while place < length:
                label = int(rng.choice(classes, p=balance))
                form = int(rng.choice(FORMS, p=frequency / frequency.sum()))
                if rng.random() < density and place + long[label, form] <= length:
                    mine.append((place, place + int(long[label, form]), label, form))
                    place = mine[-1][1]
                place += 1
            self.spans.append(mine)
        self.words = [rng.integers(0, WORDS, length) for length in self.lengths]

    def known(self, share: float) -> NDArray[np.bool_]:
        """Draw the forms that a source knows: bool[classes, forms]."""
        return (self.rng.random((self.classes, FORMS)) < share) & ~self.hard

    def source(
        self,
        mine: list[int],
        known: NDArray[np.bool_],
        *,
        seen: float = 1.0,
        noise: float = 0.0,
        bounds: float = 0.05,
        classes: float = 0.0,
    ) -> list[list[Span]]:
        """Draw a source's spans: of classes `mine`, forms it knows, a share `seen` of mentions.

        `noise` is the share of words it takes for a form, `bounds` and `classes` the shares of its
        spans with a wrong end and a wrong class.
        """
        rng, taken = self.rng, self.rng.random(WORDS) < noise
        found: list[list[Span]] = []
        for length, spans, words in zip(self.lengths.tolist(), self.spans, self.words, strict=True):
            said: list[Span] = []
            within = np.zeros(length, bool)
            for start, end, label, form in spans:
                within[start:end] = True
                if label in mine and known[label, form] and rng.random() < seen:
                    wrong = rng.random() < bounds
                    shift = int(rng.choice([-1, 1])) if wrong and end - start > 1 else int(wrong)
                    other = int(rng.choice(mine)) if rng.random() < classes else label
                    said.append((start, min(length, end + shift), other))
            said += [
                (int(place), int(place) + 1, mine[int(words[place]) % len(mine)])
                for place in np.flatnonzero(taken[words] & ~within)
            ]
            found.append(said)
        return found

    def tagged(self, sources: list[list[list[Span]]]) -> Tagged:
        """Put sources together."""
        documents = Documents.of([("",) * int(length) for length in self.lengths])
        names = [f"c{label}" for label in range(self.classes)]
        columns = {
            f"source_{index}": encode_documents(documents, spans)
            for index, spans in enumerate(sources)
        }
        truth = [
            encode([span[:3] for span in spans], int(length))
            for spans, length in zip(self.spans, self.lengths, strict=True)
        ]
        return Tagged(SpanVotes.of(documents, columns, names), np.concatenate(truth))


def news(seed: int) -> Tagged:
    """Four classes: gazetteers of low recall, some alike, precise patterns, a broad model."""
    corpus, every = Corpus(250, 4, 0.12, seed), [0, 1, 2, 3]
    sources = []
    for label in every:
        known = corpus.known(0.3)
        sources.append(corpus.source([label], known, noise=0.004, bounds=0.1))
        sources.append(corpus.source([label], known | corpus.known(0.1), noise=0.004, bounds=0.1))
        context = np.ones_like(known)
        sources.append(corpus.source([label], context, seen=0.2, bounds=0.02))
    broad = ~corpus.hard | (corpus.rng.random(corpus.hard.shape) < 0.6)
    sources.append(corpus.source(every, broad, seen=0.7, noise=0.02, bounds=0.15, classes=0.2))
    return corpus.tagged(sources)


def medicine(seed: int) -> Tagged:
    """One class: a dictionary and a part of it, a rare pattern, and a source mostly wrong."""
    corpus = Corpus(400, 1, 0.07, seed)
    known = corpus.known(0.6)
    return corpus.tagged(
        [
            corpus.source([0], known, noise=0.002, bounds=0.1),
            corpus.source([0], known & corpus.known(0.7), noise=0.001),
            corpus.source([0], np.ones_like(known), seen=0.2, bounds=0.3),
            corpus.source([0], corpus.known(0.3), noise=0.03, bounds=0.3),
        ]
    )


def many(seed: int) -> Tagged:
    """Twelve classes, most of them with one source of their own and a share of a broad one."""
    corpus, every = Corpus(300, 12, 0.15, seed), list(range(12))
    sources = [
        corpus.source([label], corpus.known(0.5), seen=0.8, noise=0.001, bounds=0.1)
        for label in every
    ]
    sources += [
        corpus.source(every[at : at + 4], corpus.known(0.4), noise=0.006, bounds=0.15)
        for at in (0, 4, 8)
    ]
    everything = np.ones_like(corpus.hard)
    sources.append(corpus.source(every, everything, seen=0.6, noise=0.03, bounds=0.15, classes=0.3))
    return corpus.tagged(sources)


def clean(seed: int) -> Tagged:
    """Precise sources that hardly meet: a vote alone is nearly always right."""
    corpus = Corpus(250, 3, 0.12, seed)
    return corpus.tagged(
        [
            corpus.source([label], corpus.known(0.3), seen=0.95, noise=0.0003, bounds=0.03)
            for label in range(3)
            for _ in range(3)
        ]
    )


def copies(seed: int) -> Tagged:
    """Four copies of a poor source among four good ones."""
    corpus, every = Corpus(250, 3, 0.12, seed), [0, 1, 2]
    poor = corpus.source(every, corpus.known(0.7), noise=0.05, bounds=0.4, classes=0.3)
    good = [corpus.source(every, corpus.known(0.6), noise=0.002) for _ in range(4)]
    return corpus.tagged([poor] * 4 + good)


KINDS = {"news": news, "medicine": medicine, "many": many, "clean": clean, "copies": copies}


@pytest.fixture
def draw_spans() -> Callable[[str, int], Tagged]:
    """Draw votes of one kind: "news", "medicine", "many", "clean" or "copies"."""
    return lambda kind, seed: KINDS[kind](seed)
