"""Chains of hidden states over many documents at once.

All documents take their first step together, then all that have a second token their second, and
so on; with the longest documents first, those still under way are always the first ones, and every
step is one product of matrices (the scaled recursions of Rabiner 1989, section V.A).

Legend: t tokens, d documents, s states.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BLOCK_CELLS = 1 << 21


@dataclass(frozen=True)
class Timeline:
    """The order in which tokens are visited.

    Attributes:
        order: int64[t], tokens step by step; within a step, documents from long to short.
        steps: slices of `order`, one per step.
    """

    order: NDArray[np.int64]
    steps: tuple[slice, ...]

    @classmethod
    def of(cls, offsets: NDArray[np.int64]) -> Timeline:
        """Make one of int64[d + 1], where each document's tokens begin and the last ends."""
        lengths = np.diff(offsets)
        longest_first = np.argsort(-lengths, kind="stable")
        rank = np.empty(len(lengths), np.int64)
        rank[longest_first] = np.arange(len(lengths))
        step = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        order = np.lexsort((np.repeat(rank, lengths), step))
        bounds = np.concatenate([[0], np.cumsum(np.bincount(step))]).tolist()
        return cls(order, tuple(map(slice, bounds[:-1], bounds[1:])))


@dataclass(frozen=True, slots=True)
class Chain:
    """A Markov chain of states.

    Attributes:
        first: float64[s], P(state of a document's first token).
        move: float64[s, s], P(next state | state).
    """

    first: Floats
    move: Floats


@dataclass(frozen=True, slots=True)
class Beliefs:
    """What the evidence says of the states.

    Attributes:
        states: float64[t, s], P(state | all evidence of the document).
        first: float64[s], expected number of documents that begin in a state.
        moves: float64[s, s], expected number of moves.
        log_likelihood: of the evidence.
    """

    states: Floats
    first: Floats
    moves: Floats
    log_likelihood: float


def beliefs(timeline: Timeline, chain: Chain, scores: Floats) -> Beliefs:
    """Run the forward-backward recursions.

    Args:
        timeline: of the documents.
        chain: where each state that a score allows can be reached.
        scores: float64[t, s], log P(evidence of the token | state).
    """
    highest = scores.max(axis=1, keepdims=True)
    evidence = np.exp(scores - highest)[timeline.order]
    alpha, scale = _forward(timeline, chain, evidence)
    beta, moves = _backward(timeline, chain, evidence, alpha, scale)
    alpha *= beta
    states = np.empty_like(alpha)
    states[timeline.order] = alpha
    first = alpha[timeline.steps[0]].sum(axis=0)
    return Beliefs(states, first, moves, float(np.log(scale).sum() + highest.sum()))


def best_path(timeline: Timeline, chain: Chain, scores: Floats) -> NDArray[np.int64]:
    """Return the most probable states of each document, int64[t] (Viterbi 1967).

    A tie goes to the state of the lower index.
    """
    with np.errstate(divide="ignore"):
        first, move = np.log(chain.first), np.log(chain.move)
    scores = scores[timeline.order]
    back = np.zeros(scores.shape, np.int16)
    for now, before in _pairs(timeline):
        if before is None:
            scores[now] += first
            continue
        for part in _blocks(now, scores.shape[1]):
            came = slice(
                part.start - now.start + before.start, part.stop - now.start + before.start
            )
            through = scores[came, :, None] + move
            back[part] = through.argmax(axis=1)
            scores[part] += through.max(axis=1)
    path = scores.argmax(axis=1)
    for now, before in reversed(list(_pairs(timeline))):
        if before is not None:
            came = slice(before.start, before.start + now.stop - now.start)
            path[came] = back[now][np.arange(now.stop - now.start), path[now]]
    states = np.empty(len(path), np.int64)
    states[timeline.order] = path
    return states


def _forward(timeline: Timeline, chain: Chain, evidence: Floats) -> tuple[Floats, Floats]:
    """Return P(state | evidence so far), and P(evidence of the token | evidence before)."""
    alpha, scale = np.empty_like(evidence), np.empty(len(evidence))
    for now, before in _pairs(timeline):
        if before is None:
            ahead = np.broadcast_to(chain.first, evidence[now].shape)
        else:
            ahead = alpha[before.start : before.start + now.stop - now.start] @ chain.move
        joint = ahead * evidence[now]
        scale[now] = joint.sum(axis=1)
        alpha[now] = joint / scale[now, None]
    return alpha, scale


def _backward(
    timeline: Timeline, chain: Chain, evidence: Floats, alpha: Floats, scale: Floats
) -> tuple[Floats, Floats]:
    """Return P(later evidence | state), scaled, and the expected number of moves."""
    beta, moves = np.ones_like(evidence), np.zeros_like(chain.move)
    for now, before in reversed(list(_pairs(timeline))):
        if before is None:
            continue
        came = slice(before.start, before.start + now.stop - now.start)
        later = evidence[now] * beta[now] / scale[now, None]
        beta[came] = later @ chain.move.T
        moves += alpha[came].T @ later
    return beta, moves * chain.move


def _pairs(timeline: Timeline) -> Iterator[tuple[slice, slice | None]]:
    """Yield each step with the one before it."""
    return zip(timeline.steps, (None, *timeline.steps), strict=False)


def _blocks(step: slice, states: int) -> Iterator[slice]:
    """Cut a step so that documents x states x states stays small."""
    size = max(1, _BLOCK_CELLS // states**2)
    for start in range(step.start, step.stop, size):
        yield slice(start, min(start + size, step.stop))
