"""The label model: weighs sources by how they agree, and by gold where there is gold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np
import polars as pl

from gristmill.core.errors import LabelError
from gristmill.engine.current import chosen_engine
from gristmill.label.explain import Scoring
from gristmill.label.gold import Gold
from gristmill.label.models.additive import (
    AdditiveModel,
    Fitted,
    Floats,
    Options,
    check_voted,
    softmax,
)
from gristmill.label.models.balance import check_prior
from gristmill.label.models.calibration import calibrate
from gristmill.label.models.choice import choose, options
from gristmill.label.models.coins import Belief
from gristmill.label.models.findings import Findings, measure
from gristmill.label.models.gold_update import GoldVotes, Option, Pool, pool
from gristmill.label.models.influence import influence
from gristmill.label.models.problem import Problem
from gristmill.label.models.seen import Seen
from gristmill.label.vote_parts import VoteParts
from gristmill.label.votes import Votes

if TYPE_CHECKING:
    from gristmill.engine.protocol import Engine


class LabelModel(AdditiveModel):
    """Reads the votes in more ways than one, and trusts those that stand up to a test.

    One way takes sources for independent judges (Dawid & Skene 1979, by maximum a posteriori
    expectation-maximisation): what they leave out is evidence too, and the class balance is
    estimated. It is right about much and fails badly where sources were not written independently;
    then it overturns votes that are unanimous, and is left out. The other way goes by the votes
    alone. In both, pseudo-counts say that sources are better than chance, and sources that are
    copies of one another share one weight. The readings are pooled by the mean of their log-scores,
    so that every label is a sum of what each source adds.

    Gold corrects what the readings believe of each source; how much agreement counts beside gold,
    and whether abstaining is evidence, is chosen by the likelihood of gold rows held out (five
    folds, at least 20 gold rows under a vote). The same rows calibrate the probabilities (one
    temperature) and set the trust: accuracy above chance, which scales the weights of weak rows.

    The fit is deterministic and does not depend on the order of rows. It sees the distinct patterns
    of votes, or a sample of rows where these are many; memory stays bounded, and parts of the votes
    handed in one after the other (`partial_fit`) or to several models (`merge`) give the same model
    as one fit.

    Args:
        classes: class names, or how many; two or more.
        prior: k probabilities of the classes; default: from votes and gold.
        abstention: whether abstaining is evidence; default: chosen.
        gold_strength: rows of each class that the agreement of sources is worth beside gold;
            default: chosen.
        accuracy: believed accuracy of a source, were classes balanced; in (1 / k, 1).
        strength: pseudo-rows per row behind that belief; above 0.
        seed: of the folds.

    Raises:
        LabelError: an argument is outside its range.
    """

    method = "label model"

    def __init__(
        self,
        classes: Sequence[str] | int,
        *,
        prior: Sequence[float] | None = None,
        abstention: bool | None = None,
        gold_strength: float | None = None,
        accuracy: float = 0.7,
        strength: float = 0.4,
        seed: int = 0,
    ) -> None:
        super().__init__(classes)
        self.prior = None if prior is None else check_prior(prior, len(self.classes), ())
        self.abstention = abstention
        self.gold_strength = gold_strength
        self.accuracy = accuracy
        self.strength = strength
        self.seed = seed
        self._seen: Seen | None = None
        _check_numbers(self)

    @property
    def fitted(self) -> Fitted:
        """What was learned.

        Raises:
            LabelError: the model is not fitted.
        """
        if self._fitted is None and self._seen is not None:
            self._fitted = self._solve(self._seen)
        return super().fitted

    @property
    def findings(self) -> Findings:
        """What there is to say of the fit: readings, sources, gold.

        Raises:
            LabelError: the model is not fitted.
        """
        return msgspec.json.decode(self.fitted.findings, type=Findings)

    def fit(
        self,
        votes: Votes | VoteParts,
        gold: Gold | None = None,
        *,
        engine: Engine | str | None = None,
    ) -> Self:
        """Learn how far each source is to be believed.

        Args:
            votes: int[n, m] of any number of sources; or in parts on disk (`apply_in_parts`), from
                which the same is learned.
            gold: row id -> class, or a frame with `row_id` and `label`; of any number of rows. With
                a column `annotator`, rows may have several labels that differ.
            engine: counts the votes of parts, and adds the counts up in a tree: an engine, or its
                name; default is the current engine if there is one, else this process. Votes in
                memory are counted here.

        Raises:
            LabelError: no rows, no source voted at all, the votes have other classes, or gold does
                not fit the votes.
            StepError: workers died again and again.
        """
        if isinstance(votes, VoteParts):
            self._check_named(votes.classes)
            with chosen_engine(engine) as opened:
                seen = Seen.of_parts(votes, gold, opened)
        else:
            self._check_classes(votes)
            seen = Seen.of(votes, gold)
        self._seen, self._fitted = seen, None
        _ = self.fitted
        return self

    def partial_fit(self, votes: Votes, gold: Gold | None = None) -> Self:
        """Learn from some more rows; the fit itself is made when it is needed.

        Args:
            votes: of the same sources, on rows not seen before.
            gold: of rows among them.

        Raises:
            LabelError: the votes have other classes or sources, gold does not fit the votes, or the
                model was loaded, and does not have what it was fitted on.
        """
        self._check_classes(votes)
        self._join(Seen.of(votes, gold))
        return self

    def merge(self, other: LabelModel) -> Self:
        """Learn from what another model has seen, too.

        Raises:
            LabelError: the other has other classes or sources, or one of the two was loaded.
        """
        if other.classes != self.classes:
            raise LabelError(
                f"the models are for classes {list(self.classes)} and {list(other.classes)}"
            )
        if other._seen is None:
            raise LabelError(
                "the other model has nothing to merge: it was loaded, or never saw votes",
                fix="merge models before they are saved",
            )
        self._join(other._seen)
        return self

    @property
    def sources(self) -> pl.DataFrame:
        """What was learned of each source.

        Columns: `source`; `share` (1, less for copies); `copy_of` (names); `accuracy`, the
        estimated P(right | voted), null for one that never voted; where there is gold, what it
        measured: `gold_votes`, `gold_right`, `gold_accuracy`, and `low` and `high`, the ends of its
        95 % interval (Wilson), null without votes on gold rows.
        """
        return self.findings.frame(self.fitted.names)

    def influence(self, votes: Votes) -> pl.DataFrame:
        """Say for each source what would change without it.

        Columns: `source`; `votes` (rows it voted on); `changed` (labels that would be another);
        `lost` (rows that would have no vote left); `shift` (mean change of the probability of the
        label over the rows that it voted on).

        Raises:
            LabelError: as `predict_proba`.
        """
        self._check_classes(votes)
        fitted = self.fitted
        matrix = votes.matrix[:, fitted.order(votes)]
        return influence(matrix, fitted.names, len(self.classes), fitted.log_prior, fitted.table)

    def describe(self) -> dict[str, object]:
        """Return a JSON-able summary: settings, what was chosen and why, and each source."""
        told = super().describe()
        if self._fitted is not None:
            findings = msgspec.json.decode(self.fitted.findings)
            told |= {**findings, "sources": self.sources.to_dicts()}
        return told

    def _join(self, seen: Seen) -> None:
        if self._seen is None and self._fitted is not None:
            raise LabelError(
                "this model was loaded, and does not have the votes that it was fitted on",
                fix="call fit with all votes, or keep the model that saw the first part",
            )
        self._seen, self._fitted = seen if self._seen is None else self._seen.join(seen), None

    def _solve(self, seen: Seen) -> Fitted:
        """Fit the readings, weigh gold, calibrate."""
        balance = None if self.prior is None else np.array(self.prior)
        patterns, rows = seen.sample.weighted()
        check_voted(seen.sample.rows, bool((patterns.votes >= 0).any()))
        problem = Problem.of(Belief(balance, self.accuracy, self.strength), patterns, rows)
        trusted, left_out = problem.read(self.abstention)

        def pooled(gold: GoldVotes, way: Option) -> Pool:
            return pool(trusted, problem.share, gold, way, balance=balance)

        def predict(gold: GoldVotes, way: Option, unseen: GoldVotes) -> Floats:
            return softmax(pooled(gold, way).scores(unseen.votes))

        choice = choose(
            options(self.gold_strength, self.abstention),
            predict, seen.gold, seen.gold_ids, len(self.classes), self.seed,
        )  # fmt: skip
        calibration = calibrate(choice.held_out, choice.codes)
        cold = pooled(seen.gold, choice.option)
        result = cold.heated(calibration.temperature)
        posterior = softmax(patterns.add_up(result.table) + result.log_prior)
        findings = Findings(
            readings=tuple(map(str, [*trusted, *left_out])),
            rounds=sum(read.fit.rounds for read in trusted),
            converged=all(read.fit.converged for read in trusted),
            exact=seen.sample.exact,
            balance=tuple(softmax(cold.log_prior[None].copy())[0].tolist()),
            gold=str(choice.option),
            chosen_because=choice.reason,
            copies=problem.copies,
            sources=measure(patterns, rows, posterior, problem.share, seen.gold),
        )
        silent = softmax(result.silent[None])[0]
        return Fitted(
            names=seen.names,
            fingerprints=seen.fingerprints,
            scoring=Scoring.of(result.log_prior, result.table, silent),
            facts={"temperature": calibration.temperature, "trust": calibration.trust},
            rows=seen.sample.rows,
            gold=seen.parts,
            findings=msgspec.Raw(msgspec.json.encode(findings)),
        )

    def _options(self) -> Options:
        return {
            "prior": self.prior,
            "abstention": self.abstention,
            "gold_strength": self.gold_strength,
            "accuracy": self.accuracy,
            "strength": self.strength,
            "seed": self.seed,
        }


def _check_numbers(model: LabelModel) -> None:
    chance = 1 / len(model.classes)
    if not chance < model.accuracy < 1:
        raise LabelError(f"expected accuracy between {chance:g} and 1, found {model.accuracy}")
    if not model.strength > 0:
        raise LabelError(f"expected a strength above 0, found {model.strength}")
    if model.gold_strength is not None and not model.gold_strength > 0:
        raise LabelError(f"expected a gold strength above 0, found {model.gold_strength}")
