"""The span model: a hidden Markov model over tokens that learns how far each source is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from gristmill.core.errors import LabelError
from gristmill.core.fingerprint import fingerprint_bytes
from gristmill.core.progress import task
from gristmill.label.spans.bio import OUTSIDE, may_follow, tag_count
from gristmill.label.spans.emission import Answers, prior_counts
from gristmill.label.spans.lattice import Beliefs, Chain, Timeline, beliefs, best_path
from gristmill.label.spans.majority import count_votes, majority_tags
from gristmill.label.spans.span_labels import SpanLabels
from gristmill.label.spans.span_votes import SpanVotes, check_span_classes
from gristmill.label.spans.unanimity import overturned, unanimous

Floats = NDArray[np.float64]

_FILE = "span_model.json"
_MOST_ROUNDS = 50
_TOLERANCE = 1e-5
_ENDING = 0.9
_SMALL = 1e-9

_FIRMER = (1.0, 3.0, 10.0)
"""By how much the belief in the sources is strengthened, until unanimous spans stand."""

_MOST_OVERTURNED = 0.01
"""A fit that overturns more of the unanimous spans is not trusted, if a firmer one does not."""


class SpanState(msgspec.Struct, frozen=True):
    """What was learned: see `_Learned`; nested lists of floats, and how the fit went.

    Attributes:
        firmness: by how much `strength` was multiplied.
        overturned: share of the spans on which all sources that vote agree (a single one, too)
            that the model drops or changes.
    """

    names: list[str]
    first: list[float]
    move: list[list[float]]
    log_emission: list[list[list[list[float]]]]
    share: list[float]
    lift: list[float]
    documents: int
    rounds: int
    converged: bool
    log_likelihood: float
    firmness: float
    overturned: float


class _Stored(msgspec.Struct, frozen=True):
    classes: list[str]
    accuracy: float
    strength: float
    anchor: float
    state: SpanState | None


@dataclass(frozen=True, slots=True)
class _Learned:
    """Parameters of one round.

    Attributes:
        chain: of the tags.
        log_emission: float64[m, 2, s, s], log P(answer | state).
        lift: float64[k], what a span of a class gains where the anchor asks for it.
    """

    chain: Chain
    log_emission: Floats
    lift: Floats


class SpanModel:
    """A hidden Markov model of tags, fitted by expectation-maximisation (Baum et al. 1970, MAP).

    The states are the BIO tags of the truth, so that every path is whole spans; each source is
    described by P(its tag | true tag, whether it was in a span before). Silence is evidence.
    Sources that say the same on nine tenths of what either tags share one weight.

    Two beliefs keep it from losing to majority vote. Pseudo-counts, taken from the majority vote,
    say that tags are right with the given accuracy. And since agreement tells how good sources are
    relative to one another but hardly how many true spans all of them miss, the scale is anchored:
    if for a class the source that finds most spans were not believed when it alone speaks, all
    spans of that class are lifted until it is believed with probability `anchor`. A token
    has a tag that some source gives it, or is in no span.

    One check needs no gold. Where all sources that vote agree on a span, a single one too, it
    should seldom be dropped: a fit that overturns more than one such span in a hundred is tried
    again with a belief 3 and 10 times as firm, and the first that lets them stand is taken. If none
    does (a noisy source that is often alone is rightly doubted), it is the one that overturns
    fewest; `describe()` tells. This is no warranty: on precise sources that seldom meet it may
    still drop right spans, and majority vote may be better.

    The fit is deterministic, and does not depend on the order of documents but for rounding.

    Args:
        classes: class names of spans, one or more.
        accuracy: believed share of right tags, in (0, 1).
        strength: pseudo-tokens per token behind it, above 0.
        anchor: in (0, 1).

    Raises:
        LabelError: an argument is outside its range.
    """

    def __init__(
        self,
        classes: Sequence[str],
        *,
        accuracy: float = 0.9,
        strength: float = 1.0,
        anchor: float = 0.9,
    ) -> None:
        self.classes = check_span_classes(classes)
        self.accuracy, self.strength, self.anchor = accuracy, strength, anchor
        self._fitted: SpanState | None = None
        for name in ("accuracy", "anchor"):
            if not 0 < getattr(self, name) < 1:
                raise LabelError(f"expected {name} between 0 and 1, found {getattr(self, name)}")
        if not strength > 0:
            raise LabelError(f"expected a strength above 0, found {strength}")

    def __repr__(self) -> str:
        state = self._fitted
        fitted = "not fitted" if state is None else f"fitted on {state.documents} documents"
        return f"SpanModel({len(self.classes)} classes, {fitted})"

    def __fingerprint__(self) -> str:
        return fingerprint_bytes(self._bytes())

    @property
    def state(self) -> SpanState:
        """What was learned.

        Raises:
            LabelError: the model is not fitted.
        """
        if self._fitted is None:
            raise LabelError("this span model is not fitted", fix="call fit(votes) first")
        return self._fitted

    def fit(self, votes: SpanVotes) -> Self:
        """Learn how far each source is to be believed.

        Raises:
            LabelError: the votes have other classes, or no source tagged anything.
        """
        self._check(votes)
        if not votes.tags.any():
            raise LabelError(
                f"no source found a span in any of the {len(votes)} documents",
                fix="look at votes.describe()",
            )
        answers = Answers.of(votes.tags, votes.offsets, len(self.classes))
        timeline = Timeline.of(votes.offsets)
        agreed = unanimous(votes.tags, votes.offsets)
        tried: list[SpanState] = []
        for firmness in _FIRMER:
            state, learned = self._fit(votes, answers, timeline, firmness)
            tags = best_path(timeline, learned.chain, _scores(answers, learned))
            share = overturned(agreed, tags, votes.offsets)
            tried.append(msgspec.structs.replace(state, overturned=share))
            if share <= _MOST_OVERTURNED:
                break
        # Of equals the first, which leaves most to the votes.
        self._fitted = min(tried, key=lambda state: state.overturned)
        return self

    def _fit(
        self, votes: SpanVotes, answers: Answers, timeline: Timeline, firmness: float
    ) -> tuple[SpanState, _Learned]:
        """Fit with a belief so many times as firm; what it overturns is not looked at yet."""
        prior = _Prior.of(self, votes, answers, firmness)
        learned = prior.learned(answers, prior.pseudo, prior.first, prior.moves)
        likelihood, rounds, converged = -np.inf, 0, False
        with task("span model", _MOST_ROUNDS, "rounds") as work:
            while rounds < _MOST_ROUNDS and not converged:
                found = beliefs(timeline, learned.chain, _scores(answers, learned))
                learned = prior.maximise(answers, found)
                rise = abs(found.log_likelihood - likelihood)
                converged = rise < _TOLERANCE * abs(found.log_likelihood)
                likelihood, rounds = found.log_likelihood, rounds + 1
                work.advance()
        state = SpanState(
            list(votes.names),
            learned.chain.first.tolist(),
            learned.chain.move.tolist(),
            learned.log_emission.tolist(),
            answers.share.tolist(),
            learned.lift.tolist(),
            len(votes),
            rounds,
            bool(converged),
            likelihood,
            firmness,
            overturned=0.0,
        )
        return state, learned

    def predict(self, votes: SpanVotes) -> SpanLabels:
        """Return the most probable spans of each document (Viterbi), and P(tag) of each token.

        Raises:
            LabelError: the model is not fitted, or the votes are of other sources or classes.
        """
        self._check(votes)
        state = self.state
        if set(votes.names) != set(state.names):
            raise LabelError(
                f"the model was fitted on the sources {', '.join(state.names)}; "
                f"these votes are of {', '.join(votes.names)}"
            )
        order = [votes.names.index(name) for name in state.names]
        answers = Answers.of(votes.tags[:, order], votes.offsets, len(self.classes))
        answers = replace(answers, share=np.array(state.share))
        learned = _Learned(
            Chain(np.array(state.first), np.array(state.move)),
            np.array(state.log_emission),
            np.array(state.lift),
        )
        timeline = Timeline.of(votes.offsets)
        scores = _scores(answers, learned)
        tags = best_path(timeline, learned.chain, scores)
        probs = beliefs(timeline, learned.chain, scores).states
        return SpanLabels(tags, probs, votes, "span model")

    @property
    def sources(self) -> pl.DataFrame:
        """What was learned of each source.

        Columns: `source`; `share` (1, less for copies); `recall`: the mean over the classes of
        P(it begins a span of the class | one begins and it was silent).
        """
        state = self.state
        begins = 1 + 2 * np.arange(len(self.classes))
        recall = np.exp(np.array(state.log_emission)[:, 0, begins, begins]).mean(axis=1)
        return pl.DataFrame({"source": state.names, "share": state.share, "recall": recall})

    def describe(self) -> dict[str, object]:
        """Return a JSON-able summary."""
        facts: dict[str, object] = {
            "kind": "span model",
            "classes": list(self.classes),
            "fitted": self._fitted is not None,
        }
        if self._fitted is not None:
            facts |= {
                "documents": self._fitted.documents,
                "rounds": self._fitted.rounds,
                "converged": self._fitted.converged,
                "firmness": self._fitted.firmness,
                "overturned": self._fitted.overturned,
                "sources": self.sources.to_dicts(),
            }
        return facts

    def save(self, folder: Path) -> None:
        """Write `span_model.json` into an empty folder."""
        (folder / _FILE).write_bytes(self._bytes())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            LabelError: the file is not there, or is no span model.
        """
        try:
            stored = msgspec.json.decode((folder / _FILE).read_bytes(), type=_Stored)
        except (OSError, msgspec.DecodeError) as error:
            raise LabelError(f"this is no stored span model: {error}", where=str(folder)) from error
        model = cls(
            stored.classes,
            accuracy=stored.accuracy,
            strength=stored.strength,
            anchor=stored.anchor,
        )
        if stored.state is not None:
            _check_state(stored.state, len(stored.classes), str(folder))
        model._fitted = stored.state
        return model

    def _bytes(self) -> bytes:
        return msgspec.json.encode(
            _Stored(list(self.classes), self.accuracy, self.strength, self.anchor, self._fitted)
        )

    def _check(self, votes: SpanVotes) -> None:
        if votes.classes != self.classes:
            raise LabelError(
                f"the model is for classes {list(self.classes)}, "
                f"these votes are on {list(votes.classes)}"
            )


@dataclass(frozen=True)
class _Prior:
    """Pseudo-counts, and where the fit starts: at what they alone describe."""

    pseudo: Floats
    first: Floats
    moves: Floats
    anchor: float

    @classmethod
    def of(cls, model: SpanModel, votes: SpanVotes, answers: Answers, firmness: float) -> _Prior:
        """Take what the majority vote says as the belief about spans and their lengths."""
        classes = len(model.classes)
        tags = majority_tags(count_votes(votes.tags, classes), votes.offsets)
        tokens = (np.bincount(tags, minlength=tag_count(classes)) + 0.5).astype(np.float64)
        pseudo = prior_counts(answers.counts, tokens, model.accuracy, _ENDING)
        pseudo *= model.strength * firmness
        begins = votes.offsets[:-1][np.diff(votes.offsets) > 0]
        allowed = may_follow(classes)
        first = (np.bincount(tags[begins], minlength=len(allowed)) + 0.1) * allowed[OUTSIDE]
        moves = np.zeros(allowed.shape)
        within = np.ones(len(tags), bool)
        within[begins] = False
        later = np.flatnonzero(within)
        np.add.at(moves, (tags[later - 1], tags[later]), 1.0)
        return cls(pseudo, first, (moves + 0.5 / len(allowed)) * allowed, model.anchor)

    def maximise(self, answers: Answers, found: Beliefs) -> _Learned:
        """Return the most probable parameters given what is believed of the states."""
        tally = answers.tally(answers.by_pattern(found.states))
        first, moves = self.first + found.first, self.moves + found.moves
        return self.learned(answers, tally + self.pseudo, first, moves)

    def learned(self, answers: Answers, counts: Floats, first: Floats, moves: Floats) -> _Learned:
        """Return the parameters that counts make, and the lifts that the anchor asks for."""
        logs = _log_emission(counts)
        chain = _chain(first, moves)
        log_move = np.log(np.maximum(chain.move, _SMALL))
        wanted = np.log(self.anchor / (1 - self.anchor))
        alone = [answers.solo_odds(logs, log_move, label) for label in range(answers.states // 2)]
        lift = [0.0 if odds is None else max(0.0, wanted - odds) for odds in alone]
        return _Learned(chain, logs, np.array(lift))


def _scores(answers: Answers, learned: _Learned) -> Floats:
    """Return log P(answers | state) of each token; a tag that no source gives is ruled out."""
    scores = answers.scores(learned.log_emission)
    scores[:, 1::2] += learned.lift
    scores[~answers.proposed] = -np.inf
    return np.asarray(scores[answers.patterns.of_row])


def _chain(first: Floats, moves: Floats) -> Chain:
    return Chain(first / first.sum(), moves / moves.sum(axis=1, keepdims=True))


def _log_emission(counts: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(counts, _SMALL) / counts.sum(axis=2, keepdims=True)))


def _check_state(state: SpanState, classes: int, where: str) -> None:
    """Refuse a stored state whose figures do not belong together."""
    tags, sources = tag_count(classes), len(state.names)
    try:
        found = [np.array(state.first).shape, np.array(state.move).shape,
                 np.array(state.log_emission).shape, np.array(state.share).shape,
                 np.array(state.lift).shape]  # fmt: skip
    except ValueError:
        found = []
    if found != [(tags,), (tags, tags), (sources, 2, tags, tags), (sources,), (classes,)]:
        raise LabelError(
            f"the stored figures are not those of {sources} sources and {classes} classes",
            where=where,
        )
