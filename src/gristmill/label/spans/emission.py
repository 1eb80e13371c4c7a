"""What sources are likely to say of a token, given what it is.

An answer is a tag in a context: whether the source was silent on the token before, or in a span.
Once a source has begun a span, wrongly too, it goes on with it; were its tags taken as independent
given the truth, a wrong span of three tokens would count as three witnesses. This makes the model
an autoregressive hidden Markov model (Hamilton 1989), with the same recursions.

Legend: m sources, t tokens, s = 2 k + 1 tags, which are the states and the answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gristmill.label.models.duplicates import candidates, shares
from gristmill.label.models.pairwise import count_pairs
from gristmill.label.models.patterns import Patterns
from gristmill.label.spans.bio import OUTSIDE, class_of, tag_count

Floats = NDArray[np.float64]

_UNSEEN = 0.01
_FEWEST = 30.0
"""Pseudo-tokens behind each answer that a source gives, so that one that finds little is not
doubted for want of others at the few places where it speaks."""

_BOUNDARY, _CLASS = 0.05, 0.2
"""Of wrong tags, the shares that are of the right class, and of another one; the rest is O."""


@dataclass(frozen=True)
class Answers:
    """The sources' answers, as patterns over tokens.

    Attributes:
        patterns: of codes tag + s * context, int[t, m].
        counts: float64[m, 2, s], how often each source gave an answer in a context.
        share: float64[m], how much each source counts; less than 1 for copies.
        states: s.
    """

    patterns: Patterns
    counts: Floats
    share: Floats
    states: int

    @classmethod
    def of(cls, tags: NDArray[np.integer], offsets: NDArray[np.int64], classes: int) -> Answers:
        """Find the patterns of int[t, m] tags, and the copies among the sources."""
        states = tag_count(classes)
        before = np.zeros_like(tags)
        before[1:] = tags[:-1]
        before[offsets[:-1][offsets[:-1] < len(tags)]] = OUTSIDE
        codes = (tags + states * (before != OUTSIDE)).astype(np.int16)
        patterns = Patterns.of(codes, 2 * states)
        counts = np.stack([np.bincount(column, minlength=2 * states) for column in codes.T])
        named = patterns.votes % states
        pairs = count_pairs((named - 1).astype(np.int16), states, patterns.count())
        share = shares(tags.shape[1], candidates(pairs))
        return cls(patterns, counts.reshape(-1, 2, states).astype(np.float64), share, states)

    @property
    def proposed(self) -> NDArray[np.bool_]:
        """The tags that some source gives in a pattern, and O always: bool[p, s]."""
        found = np.zeros((len(self.patterns), self.states), bool)
        found[:, OUTSIDE] = True
        for tags in (self.patterns.votes % self.states).T:
            found[np.arange(len(found)), tags] = True
        return found

    def scores(self, log_emission: Floats) -> Floats:
        """Return log P(answers | state), float64[p, s], copies sharing one weight."""
        sources, states = len(self.share), self.states
        table = np.zeros((sources, 2 * states + 1, 2 * states))
        weighed = log_emission * self.share[:, None, None, None]
        table[:, :-1, :states] = weighed.reshape(sources, 2 * states, states)
        return self.patterns.add_up(table)[:, :states]

    def tally(self, weights: Floats) -> Floats:
        """Sum float64[p, s] weights of states by answer: float64[m, 2, s answers, s states]."""
        wide = np.zeros((len(weights), 2 * self.states))
        wide[:, : self.states] = weights
        table = self.patterns.tally(wide)[:, :-1, : self.states]
        return table.reshape(-1, 2, self.states, self.states)

    def by_pattern(self, beliefs: Floats) -> Floats:
        """Sum float64[t, s] over the tokens of each pattern: float64[p, s]."""
        of_row, patterns = self.patterns.of_row, len(self.patterns)
        columns = [np.bincount(of_row, column, patterns) for column in beliefs.T]
        return np.stack(columns, axis=1)

    def solo_odds(self, log_emission: Floats, log_move: Floats, label: int) -> float | None:
        """Return the log-odds of a span that only the source which finds most of its class begins.

        Copies divide what they find among them. None where no source found a span of the class.

        Args:
            log_emission: float64[m, 2, s, s].
            log_move: float64[s, s].
            label: class.
        """
        begin = 1 + 2 * label
        found = self.counts[:, 0, begin] * self.share
        if not found.any():
            return None
        odds = log_emission[:, 0, :, begin] - log_emission[:, 0, :, OUTSIDE]
        busiest = int(found.argmax())
        # Its copies, if any, speak with it; together they weigh as one source.
        silent = self.share @ odds[:, OUTSIDE] - odds[busiest, OUTSIDE]
        prior = log_move[OUTSIDE, begin] - log_move[OUTSIDE, OUTSIDE]
        return float(prior + silent + odds[busiest, begin])


def prior_counts(counts: Floats, tokens: Floats, accuracy: float, ending: float) -> Floats:
    """Return the pseudo-counts that make sources better than chance: [m, 2, s answers, s states].

    A tag is believed right with the given accuracy; where it is wrong the token is mostly in no
    span. That a source ends its span is believed right with probability `ending`. A source is
    silent on as many tokens of a state as its tags leave over. Each answer counts as often as it
    was given, and 30 times more.

    Args:
        counts: float64[m, 2, s], of answers by context.
        tokens: float64[s], how many tokens are believed in each state.
        accuracy: of a tag, in (0, 1).
        ending: in (0, 1).
    """
    believed = counts + np.where(counts > 0, _FEWEST, _UNSEEN)
    pseudo: Floats = believed[..., None] * _state_given_tag(len(tokens), accuracy)
    rest = tokens[1:] / tokens[1:].sum()
    ends = np.concatenate([[ending], (1 - ending) * rest])
    pseudo[:, 1, OUTSIDE] = believed[:, 1, OUTSIDE, None] * ends
    pseudo[:, 0, OUTSIDE] = 0.0
    left = tokens - pseudo.sum(axis=(1, 2))
    pseudo[:, 0, OUTSIDE] = np.maximum(left, 0.05 * tokens)
    return pseudo


def _state_given_tag(states: int, accuracy: float) -> Floats:
    """Return the believed P(state | tag): float64[s answers, s states]."""
    labels = class_of(np.arange(states))
    same = labels[:, None] == labels[None, :]
    twin = same & ~np.eye(states, dtype=bool)
    other = ~same & (labels >= 0)[None, :]
    others = np.maximum(other.sum(axis=1, keepdims=True), 1)
    elsewhere = _CLASS * other.any(axis=1, keepdims=True)
    wrong = _BOUNDARY * twin + elsewhere * other / others
    wrong[:, OUTSIDE] = 1 - _BOUNDARY - elsewhere.ravel()
    return np.asarray(accuracy * np.eye(states) + (1 - accuracy) * wrong)
