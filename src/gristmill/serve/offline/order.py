"""What a batch prediction is asked to do, checked before the first row is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gristmill.core.errors import DataError, UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.quantities import parse_bytes
from gristmill.serve.offline.answered_part import Guard
from gristmill.serve.offline.answering import class_columns
from gristmill.serve.offline.bundle_place import BundlePlace, SentBundle
from gristmill.serve.offline.ledger import Ledger, PartRecord
from gristmill.serve.offline.opening import Input, open_source
from gristmill.serve.offline.output import Output
from gristmill.serve.offline.part_size import part_rows as chosen_rows
from gristmill.serve.offline.part_writer import OnBad, Opener, PartWriter
from gristmill.serve.offline.quarantine import quarantine_output
from gristmill.serve.offline.scanned import ScannedSource
from gristmill.serve.offline.source import Source
from gristmill.serve.offline.summary import PredictionSummary
from gristmill.serve.offline.text_source import TextSource
from gristmill.store.bundle import WEIGHTS, Bundle

_MOST_RUN_PARTS = 4
_RUNS_PER_WORKER = 4


@dataclass(frozen=True)
class Wishes:
    """How rows are to be answered; as the arguments of `predict_table`."""

    keep: tuple[str, ...]
    on_bad: OnBad
    batch_rows: int | None
    part_rows: int | None
    memory: int | str
    guard: Guard | None
    warn_only: bool

    def check(self) -> None:
        """Check the numbers.

        Raises:
            UsageError: one is below 1.
        """
        if self.batch_rows is not None and self.batch_rows < 1:
            raise UsageError(f"expected batch_rows of at least 1, found {self.batch_rows}")
        if self.part_rows is not None and self.part_rows < 1:
            raise UsageError(f"expected part_rows of at least 1, found {self.part_rows}")


@dataclass(frozen=True)
class Order:
    """All that is decided before the first part; made by `checked_order`.

    Attributes:
        bundle: whose model answers.
        source: the rows.
        mark: fingerprint of the data.
        folder: that paths in the data are relative to.
        output: where answers go.
        quarantine: where bad rows go; None: nowhere.
        part_rows: rows that are done or not.
        wishes: how they are answered.
    """

    bundle: Bundle
    source: Source
    mark: str
    folder: Path
    output: Output
    quarantine: Output | None
    part_rows: int
    wishes: Wishes

    def fingerprint(self) -> str:
        """Return the fingerprint of all that decides what the parts hold."""
        wishes, output = self.wishes, self.output
        guarded = None if wishes.guard is None else (wishes.guard.mark, wishes.warn_only)
        set_aside = self.quarantine is not None
        job = (self.bundle.fingerprint, self.mark, output.format, output.gzipped, wishes.keep,
               wishes.on_bad, set_aside, wishes.batch_rows, self.part_rows, guarded)  # fmt: skip
        return fingerprint(job)

    def run_parts(self, workers: int) -> int:
        """Return how many parts a worker reads in one go, so that all of so many have enough to do.

        What reads a row group for one part has unpacked it for those beside it.
        """
        parts = max(self.source.rows or 0, 1) // self.part_rows
        return max(1, min(_MOST_RUN_PARTS, parts // (_RUNS_PER_WORKER * workers)))

    def writer(self, ledger: Ledger, opener: Opener, *, send_bundle: bool) -> PartWriter:
        """Return what answers parts and keeps them in a ledger.

        Args:
            ledger: where they are kept.
            opener: opens the bundle.
            send_bundle: whether workers may not see the bundle's folder.
        """
        wishes = self.wishes
        place = SentBundle if send_bundle else BundlePlace
        return PartWriter(
            bundle=place(self.bundle.folder.absolute(), self.bundle.fingerprint),
            input_mark=self.mark,
            ledger=ledger,
            output=self.output,
            folder=self.folder,
            is_text=self.source.is_text,
            keep=wishes.keep,
            on_bad=wishes.on_bad,
            quarantine=self.quarantine is not None,
            batch_rows=wishes.batch_rows,
            guard=wishes.guard,
            warn_only=wishes.warn_only,
            opener=opener,
        )

    def summary(
        self, records: Sequence[PartRecord], resumed: int, seconds: float
    ) -> PredictionSummary:
        """Return what came of it.

        Args:
            records: of all parts.
            resumed: rows that an earlier run had done.
            seconds: that this run took.
        """
        source, side = self.source, self.quarantine
        return PredictionSummary(
            out=str(self.output.path),
            rows=sum(record.rows for record in records),
            written=sum(record.written for record in records),
            bad=sum(record.bad for record in records),
            labels=_labels(records),
            bundle=self.bundle.fingerprint,
            input=self.mark,
            resumed=resumed,
            seconds=seconds,
            warned=sum(record.warned for record in records),
            unreadable=source.unreadable_count if isinstance(source, TextSource) else 0,
            quarantine=None if side is None else str(side.path),
        )


def checked_order(
    bundle: Bundle | Path | str,
    data: Input,
    out: Path,
    quarantine: Path | str | None,
    wishes: Wishes,
) -> Order:
    """Open what is named, and check that it fits together; nothing is written.

    Raises:
        BundleError, DataError, UsageError: as `predict_table`.
    """
    output = Output.of(out)
    side = None if quarantine is None else quarantine_output(Path(quarantine))
    wishes.check()
    _check_paths(data, out, None if side is None else side.path)
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    source = open_source(data, opened.signature.inputs, lenient=side is not None)
    _check_columns(source, opened, wishes.keep, flat=not output.nested)
    if isinstance(source, ScannedSource) and side is None and wishes.guard is None:
        # Nobody looks at the others.
        source.choose([*(field.name for field in opened.signature.inputs), *wishes.keep])
    size = wishes.part_rows or chosen_rows(
        source.sample(),
        parse_bytes(wishes.memory),
        opened.manifest.files[WEIGHTS].bytes_,
        opened.signature.inputs,
    )
    return Order(opened, source, source.mark(), _folder(data), output, side, size, wishes)


def _check_paths(data: Input, out: Path, side: Path | None) -> None:
    """Make sure that nothing is written over the data, or twice to one place."""
    places = [data] if isinstance(data, str | Path) else data
    read = (
        {Path(place).resolve() for place in places if isinstance(place, str | Path)}
        if isinstance(places, list | tuple)
        else set()
    )
    for target in (out, side):
        if target is not None and target.resolve() in read:
            raise UsageError(
                "the output would replace the data", where=str(target), fix="rename one"
            )
    if side is not None and side.resolve() == out.resolve():
        raise UsageError("answers and bad rows would go to one file", where=str(out))


def _check_columns(source: Source, bundle: Bundle, keep: Sequence[str], *, flat: bool) -> None:
    where = f"input of model {bundle.name!r}"
    shown = ", ".join(source.columns) or "none"
    required = [field.name for field in bundle.signature.inputs if field.required]
    for name in [*required, *keep]:
        if name not in source.columns:
            raise DataError(
                f"expected a column {name!r}, found {shown}",
                where=where,
                fix="name the data's columns so; in CSV and TSV the first line names them",
            )
    made = {"row_id", "prediction_id", "error", "warning", "label", "prob"}
    made |= set(class_columns(bundle.classes)) if flat else {"probs"}
    made |= {field.name for field in bundle.signature.outputs}
    for name in keep:
        if name in made or list(keep).count(name) > 1:
            raise UsageError(
                f"column {name!r} cannot be kept: the output has one of that name",
                fix="rename it in the data",
            )


def _folder(data: Input) -> Path:
    """Return the folder that paths in the data are relative to."""
    if not isinstance(data, str | Path):
        return Path.cwd()
    path = Path(data).absolute()
    return path if path.is_dir() else path.parent


def _labels(records: Sequence[PartRecord]) -> dict[str, int]:
    found: dict[str, int] = {}
    for record in records:
        for label, rows in record.labels.items():
            found[label] = found.get(label, 0) + rows
    return dict(sorted(found.items()))
