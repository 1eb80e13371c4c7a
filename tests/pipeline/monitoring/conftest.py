"""A registered model with a bundle that holds its training profile, and what it was served."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from gristmill.pipeline import training_profile
from gristmill.pipeline.served_statistics import ServedStatistics
from gristmill.serve.watch.served_profile import ServedProfile
from gristmill.serve.watch.served_rows import Sampled
from gristmill.store.bundle import Bundle, write_bundle
from gristmill.store.project import Project
from gristmill.store.registry import Registry
from gristmill.store.runs import RunLog

NOW = 1_790_000_000.0
DAY = 86_400.0


def rows(count: int, seed: int, shift: float = 0.0) -> dict[str, list[Any]]:
    """Columns of a table, the numbers of which lie `shift` deviations away from those of others."""
    generator = np.random.default_rng(seed)
    return {
        "age": generator.normal(40 + 10 * shift, 10, count).tolist(),
        "country": generator.choice(["de", "fr", "it"], count, p=[0.5, 0.3, 0.2]).tolist(),
    }


def answers(count: int, seed: int, spam: float = 0.3) -> dict[str, list[Any]]:
    generator = np.random.default_rng(seed)
    return {
        "label": np.where(generator.random(count) < spam, "spam", "ham").tolist(),
        "prob": generator.uniform(0.5, 1, count).tolist(),
    }


@dataclass(frozen=True)
class Kept:
    """A kept prediction, as far as monitoring reads it."""

    at: float
    answer: dict[str, object] = field(default_factory=dict)
    truth: object | None = None
    told_at: float | None = None


@dataclass
class Shop:
    """A project with a model that is served.

    Attributes:
        project: open.
        served: the folder of all that was served.
    """

    project: Project
    template: Bundle

    @property
    def served(self) -> Path:
        return self.project.root / "serving" / "served"

    def bundle(self, name: str, shift: float = 0.0, *, with_answers: bool = True) -> Bundle:
        """Return a bundle whose training data lay `shift` away."""
        said = answers(2000, 1) if with_answers else None
        profile = training_profile(
            pl.DataFrame(rows(2000, 1, shift)), ["age", "country"], answers=said
        )
        return write_bundle(
            self.project.root / "bundles" / name,
            name="spam",
            classes=self.template.classes,
            signature=self.template.signature,
            featurizer=self.template.featurizer(),
            graph=self.template.graph(),
            weights=self.template.weights(),
            lineage={"made": name},
            extra_files=profile,
        )

    def release(self, bundle: Bundle, at: float = NOW - 10 * DAY, **evidence: object) -> int:
        """Make a bundle the champion, as if at some moment; return the version's number."""
        registry = Registry(self.project)
        digest = RunLog(self.project).keep(bundle).digest
        version = registry.register("spam", digest).version
        registry.decide("spam", version, "promote", ["good"], evidence=evidence)
        self.date(at)
        return version

    def serve(
        self,
        bundle: Bundle,
        columns: dict[str, list[Any]],
        at: float = NOW,
        instance: str = "server",
        name: str = "spam",
    ) -> None:
        """Write down what was served under a name, as a server would."""
        folder = self.served / f"{name}-{bundle.fingerprint[:12]}"
        folder.mkdir(parents=True, exist_ok=True)
        profile = ServedProfile(
            ServedStatistics.of(bundle), folder, instance=instance, clock=lambda: at
        )
        count = len(next(iter(columns.values())))
        profile.add(Sampled(columns, count, count))
        profile.save()

    def date(self, at: float) -> None:
        """Set the clock of what was just registered and decided."""
        from sqlalchemy import func, select, update

        from gristmill.store.guards import guard
        from gristmill.store.tables import promotions, versions

        newest = select(func.max(promotions.c.id)).scalar_subquery()
        latest = select(func.max(versions.c.version)).scalar_subquery()
        with self.project.database.write() as connection:
            for table in ("promotions", "versions"):
                connection.exec_driver_sql(f"DROP TRIGGER {table}_update_guard")
            connection.execute(update(promotions).where(promotions.c.id == newest).values(at=at))
            connection.execute(
                update(versions).where(versions.c.version == latest).values(created=at)
            )
            guard(connection)


def all_columns(count: int, seed: int, shift: float = 0.0, spam: float = 0.3) -> dict[str, Any]:
    """Inputs and answers, as the server names them."""
    said = answers(count, seed + 500, spam)
    return rows(count, seed, shift) | {f"prediction.{name}": v for name, v in said.items()}


@pytest.fixture
def shop(tmp_path: Path, spam_bundle: Bundle) -> Iterator[Shop]:
    with Project(tmp_path) as project:
        yield Shop(project, spam_bundle)


@pytest.fixture
def served_shop(shop: Shop) -> Callable[..., Shop]:
    """served_shop(shift): version 1 answers since ten days, and 1,000 rows lie `shift` away."""

    def open_(shift: float = 0.0, **kwargs: Any) -> Shop:
        bundle = shop.bundle("one")
        shop.release(bundle, metric="accuracy", positive=1, rows=1000, figure=0.9)
        shop.serve(bundle, all_columns(1000, 3, shift, **kwargs))
        return shop

    return open_


PIPELINE = """
from pathlib import Path

import numpy as np
import polars as pl

from gristmill import step
from gristmill.pipeline import Contender, Evidence, Verdict, judge, training_profile, workdir
from gristmill.store import Bundle, Decision, Registry, RunLog, current_project
from gristmill.store.bundle import write_bundle

HERE = Path(__file__).parent

@step
def table(source: Path = HERE / "table.csv") -> pl.DataFrame:
    return pl.read_csv(source)

@step
def gate(table: pl.DataFrame) -> Verdict:
    truth = np.arange(400) % 2
    better = "good" in table.columns
    new, old = (truth, 1 - truth) if better else (1 - truth, truth)
    return judge(Contender("new", new), [Contender("old", old)], Evidence(truth))

@step
def bundle(table: pl.DataFrame) -> Bundle:
    template = Bundle.open(HERE / "bundles" / "one")
    profile = training_profile(table, ["age", "country"])
    return write_bundle(
        workdir() / "bundle", name="spam", classes=template.classes,
        signature=template.signature, featurizer=template.featurizer(), graph=template.graph(),
        weights=template.weights(), lineage={"made": "again"}, extra_files=profile,
    )

@step
def released(bundle: Bundle, gate: Verdict) -> Decision:
    project = current_project()
    registry = Registry(project)
    version = registry.register("spam", RunLog(project).keep(bundle).digest).version
    return registry.decide(
        "spam", version, gate.verdict, gate.reasons, author="gate", evidence=gate.evidence
    )
"""
"""Learns anew from `table.csv`; its gate lets in what has a column `good`."""
