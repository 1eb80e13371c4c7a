"""Bundles: a servable model as a folder of plain files that are checked before they are believed.

    manifest.json         what the model is, and the size and SHA-256 of every other file
    graph.json            the captured graph (`store.graph`)
    weights.safetensors   its weights
    features.json         how rows become its input (`data.features`); none where rows are tensors
    example.safetensors   a few rows that it can answer; none where they can be made up
    recipe.json           how it was made (`store.recipe`); none where no pipeline made it
    ...                   a schema, notes: any further text

Nothing in a bundle is code and nothing is pickled; opening one runs nothing from it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from gristmill.core.atomic import atomic_folder
from gristmill.core.errors import BundleError, DataError
from gristmill.core.fingerprint import fingerprint_bytes
from gristmill.data.features import Featurizer, featurizer_from_json, featurizer_to_json
from gristmill.store.bundle_environment import differences_here, environment_here
from gristmill.store.bundle_files import (
    FileEntry,
    check_folder,
    check_names,
    entry_of,
    read_checked,
    read_plain,
)
from gristmill.store.graph import GraphSpec, graph_from_json, graph_to_json
from gristmill.store.recipe import (
    RECIPE,
    Recipe,
    recipe_from_json,
    recipe_in_force,
    recipe_to_json,
)
from gristmill.store.signature import Field as Field
from gristmill.store.signature import FieldKind as FieldKind
from gristmill.store.signature import Signature as Signature
from gristmill.store.tensor_file import TensorFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Weights: TypeAlias = Mapping[str, NDArray[Any]]

FORMAT = 1
MANIFEST = "manifest.json"
GRAPH = "graph.json"
WEIGHTS = "weights.safetensors"
FEATURES: Literal["features.json"] = "features.json"
EXAMPLE = "example.safetensors"
OFFSETS = ".offsets"
"""Ending of the name under which the example keeps the offsets of a column of free length."""

_FIX = "don't use this bundle: write it again, or copy it again from where it was made"
_REQUIRED = (GRAPH, WEIGHTS)
_MANIFEST_BYTES = 4 << 20
_DTYPES = {
    WEIGHTS: ("float16", "float32", "float64", "int32", "int64", "bool"),
    EXAMPLE: ("float16", "float32", "float64", "int32", "int64", "uint8", "bool"),
}


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `manifest.json` says.

    Attributes:
        format: version of this layout; 1.
        name: the model's name.
        task: what it answers: the class of a row, or tensors.
        classes: class names, in the order of the model's outputs; none where it answers tensors.
        signature: fields of a request and of an answer.
        featurizer: the file that says how rows become input; None where they are tensors already.
        files: every other file of the folder, by relative POSIX path.
        metrics: figures of the model's evaluation.
        lineage: what the model came from: run, labels and data, as fingerprints or names.
        environment: what the bundle was made in: versions, platform (`store.bundle_environment`).
    """

    format: int
    name: str
    task: Literal["classification", "tensors"]
    classes: list[str]
    signature: Signature
    featurizer: Literal["features.json"] | None
    files: dict[str, FileEntry]
    metrics: dict[str, float] = {}
    lineage: dict[str, str] = {}
    environment: dict[str, str] = {}


@dataclass(frozen=True)
class Bundle:
    """A bundle that was opened and found sound.

    Attributes:
        folder: where it is.
        manifest: what it says about itself.
        fingerprint: of the manifest's bytes, and so of every file; 32 hex digits.
    """

    folder: Path
    manifest: Manifest
    fingerprint: str

    @classmethod
    def open(cls, folder: Path | str) -> Bundle:
        """Open a folder after checking every file in it; memory is bounded by one block of 1 MiB.

        Raises:
            BundleError: something is missing, added, changed or malformed; names the file, what was
                expected and what was found.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise BundleError(
                "expected the folder of a bundle, found none",
                where=str(folder),
                fix="name a folder that `gristmill train -o` or a pipeline wrote",
            )
        if inside := _bundles_in(folder):
            raise BundleError(
                f"expected the folder of a bundle, found one of bundles: {', '.join(inside)}",
                where=str(folder),
                fix=f"name one of them: {folder / inside[0]}",
            )
        try:
            manifest, data = _check(folder)
        except BundleError as error:
            place = f"{folder}, {error.where}" if error.where else str(folder)
            raise BundleError(error.message, where=place, fix=error.fix or _FIX) from error
        return cls(folder, manifest, fingerprint_bytes(data))

    @classmethod
    def load(cls, folder: Path) -> Bundle:
        """Open what `save` wrote."""
        return cls.open(folder)

    def save(self, folder: Path) -> None:
        """Copy the bundle into an empty folder, checking every byte on the way."""
        for name in self.manifest.files:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.read(name))
        data = read_plain(self.folder, MANIFEST, _MANIFEST_BYTES)
        if fingerprint_bytes(data) != self.fingerprint:
            raise BundleError("changed since the bundle was opened", where=MANIFEST)
        (folder / MANIFEST).write_bytes(data)

    def describe(self) -> dict[str, object]:
        """Return name, fingerprint, classes, size, metrics and lineage."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "classes": list(self.classes),
            "bytes": sum(entry.bytes_ for entry in self.manifest.files.values()),
            "metrics": dict(self.manifest.metrics),
            "lineage": dict(self.manifest.lineage),
        }

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def classes(self) -> list[str]:
        """Class names, in the order of the model's outputs."""
        return self.manifest.classes

    @property
    def signature(self) -> Signature:
        """Fields of a request and of an answer."""
        return self.manifest.signature

    def read(self, name: str) -> bytes:
        """Return the bytes of a listed file; they are checked again, as the file may have changed.

        Raises:
            BundleError: no such file is listed, or its bytes are not those of the manifest.
        """
        entry = self.manifest.files.get(name)
        if entry is None:
            raise BundleError(
                f"expected one of {', '.join(sorted(self.manifest.files))}", where=name
            )
        return read_checked(self.folder, name, entry)

    @property
    def has_featurizer(self) -> bool:
        """Whether rows have to be made into tensors first."""
        return self.manifest.featurizer is not None

    def recipe(self) -> Recipe | None:
        """Read how the bundle was made; None where no step of a pipeline made it.

        Raises:
            BundleError: the file is no recipe.
        """
        return recipe_from_json(self.read(RECIPE)) if RECIPE in self.manifest.files else None

    def differences_here(self) -> list[str]:
        """Say what is different here from where the bundle was made, and what it may mean."""
        return differences_here(self.manifest.environment)

    def featurizer(self) -> Featurizer:
        """Read how rows become the model's input.

        Raises:
            BundleError: they are tensors already; or the file is no featurizer.
        """
        try:
            return featurizer_from_json(self.read(FEATURES))
        except DataError as error:
            raise BundleError(error.message, where=FEATURES) from error

    def graph(self) -> GraphSpec:
        """Read the captured graph, checked against the list of operators."""
        return graph_from_json(self.read(GRAPH))

    def weights(self) -> dict[str, NDArray[Any]]:
        """Read the weights: name -> writable array; the file is checked again on the way.

        Raises:
            BundleError: its bytes are not those of the manifest.
        """
        with TensorFile(self.folder / WEIGHTS, self.manifest.files[WEIGHTS]) as file:
            arrays = file.load()
        for name, array in arrays.items():
            _check_dtype(WEIGHTS, name, array)
        return arrays

    def example(self) -> dict[str, NDArray[Any]]:
        """Read the rows that were kept as an example; none may have been.

        Returns:
            By name of an input field, an array [n, ...]; of a ragged one all elements [total, ...],
            and under its name and `OFFSETS` int64[n + 1].
        """
        if EXAMPLE not in self.manifest.files:
            return {}
        return _parse_tensors(self.read(EXAMPLE), EXAMPLE)


def write_bundle(
    folder: Path | str,
    *,
    name: str,
    classes: Sequence[str] = (),
    signature: Signature,
    featurizer: Featurizer | None = None,
    graph: GraphSpec,
    weights: Weights,
    example: Weights | None = None,
    metrics: Mapping[str, float] | None = None,
    lineage: Mapping[str, str] | None = None,
    extra_files: Mapping[str, str | bytes] | None = None,
) -> Bundle:
    """Write a bundle, whole or not at all, over whatever bundle was in `folder`, and open it.

    Equal arguments give equal bytes, as long as what `environment` names stays the same. In a step
    of a pipeline the bundle gets the step's recipe as well.

    Args:
        folder: where to; must be new, empty or a bundle.
        name: the model's name.
        classes: two or more different names, in the order of the model's outputs; none where it
            answers tensors.
        signature: fields of a request and of an answer.
        featurizer: how rows become the model's input; None where they are tensors already.
        graph: the captured model.
        weights: every tensor that `graph.weights` names, and no other.
        example: rows that the model can answer, as `Bundle.example` returns them.
        metrics: finite figures.
        lineage: pairs of words that say what the model came from.
        extra_files: text or bytes by relative path, `schema.toml` for instance.

    Raises:
        BundleError: an argument could not be opened again, or `folder` holds something else.
    """
    folder = Path(folder)
    check_target(folder)
    _check_arguments(classes, graph, weights, metrics or {})
    extra = {path: _to_bytes(text) for path, text in (extra_files or {}).items()}
    recipe = recipe_in_force()
    if recipe is not None:
        extra.setdefault(RECIPE, recipe_to_json(recipe))
    for path in (MANIFEST, FEATURES, EXAMPLE, *_REQUIRED):
        if path in extra:
            raise BundleError("an extra file may not take the place of this one", where=path)
    contents = {GRAPH: graph_to_json(graph), WEIGHTS: _tensors_to_bytes(weights, WEIGHTS), **extra}
    if featurizer is not None:
        contents[FEATURES] = featurizer_to_json(featurizer)
    if example:
        contents[EXAMPLE] = _tensors_to_bytes(example, EXAMPLE)
    manifest = Manifest(
        format=FORMAT,
        name=name,
        task="classification" if classes else "tensors",
        classes=list(classes),
        signature=signature,
        featurizer=None if featurizer is None else FEATURES,
        files={path: entry_of(data) for path, data in contents.items()},
        metrics={key: float(value) for key, value in (metrics or {}).items()},
        lineage=dict(lineage or {}),
        environment=environment_here(),
    )
    check_names(manifest.files, MANIFEST)
    with atomic_folder(folder) as draft:
        for path, data in {**contents, MANIFEST: _manifest_to_json(manifest)}.items():
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            (draft / path).write_bytes(data)
        _check(draft)
    return Bundle.open(folder)


def _manifest_to_json(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2)


def _bundles_in(folder: Path) -> list[str]:
    """Return the names of the bundles in a folder that is none itself, twenty at most."""
    if any((folder / name).exists() for name in (MANIFEST, *_REQUIRED)):
        return []
    return sorted(each.parent.name for each in folder.glob(f"*/{MANIFEST}"))[:20]


def _check(folder: Path) -> tuple[Manifest, bytes]:
    """Return the manifest and its bytes, after checking every file of the folder against it."""
    data = read_plain(folder, MANIFEST, _MANIFEST_BYTES)
    manifest = _parse_manifest(data, MANIFEST)
    check_folder(folder, manifest.files, manifest=MANIFEST)
    return manifest, data


def _parse_manifest(data: bytes, where: str) -> Manifest:
    try:
        found = msgspec.json.decode(data, type=_AnyFormat).format
        if found != FORMAT:
            raise BundleError(
                f"expected format {FORMAT}, found {found}",
                where=where,
                fix="open the bundle with the version of gristmill that wrote it",
            )
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"not a manifest: {error}", where=where) from error
    required = [*_REQUIRED, *([manifest.featurizer] if manifest.featurizer else [])]
    missing = [name for name in sorted(required) if name not in manifest.files]
    if missing:
        raise BundleError(f"expected {missing[0]} among the files, found none", where=where)
    _check_task(manifest.task, manifest.classes)
    return manifest


class _AnyFormat(msgspec.Struct):
    format: int


def check_target(folder: Path) -> None:
    """Refuse to replace a folder of something else: a wrong path must not cost anyone's files.

    Raises:
        BundleError: the folder holds something else than a bundle, or cannot be made.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise BundleError(
            "expected a new folder, an empty one or a bundle, found other files",
            where=str(folder),
            fix="name another folder",
        )
    if folder.exists() and not folder.is_dir():
        raise BundleError("expected a folder, found a file", where=str(folder))
    for parent in folder.absolute().parents:
        if parent.exists():
            _check_parent(parent)
            return


def _check_parent(parent: Path) -> None:
    if not parent.is_dir():
        raise BundleError("expected a folder to write to, found a file", where=str(parent))
    if not os.access(parent, os.W_OK):
        raise BundleError("this folder cannot be written", where=str(parent))


def _check_task(task: str, classes: Sequence[str]) -> None:
    if task == "classification":
        _check_classes(classes)
    elif classes:
        raise BundleError(f"expected no classes of a model that answers {task}", where=MANIFEST)


def _check_classes(classes: Sequence[str]) -> None:
    if len(classes) < 2 or len(set(classes)) != len(classes):
        raise BundleError(f"expected two or more different classes, found {list(classes)!r}")


def _check_arguments(
    classes: Sequence[str], graph: GraphSpec, weights: Weights, metrics: Mapping[str, float]
) -> None:
    if classes:
        _check_classes(classes)
    graph.check()
    if set(graph.weights) != set(weights):
        odd = sorted(set(graph.weights) ^ set(weights))
        raise BundleError(f"graph and weights disagree about {', '.join(odd)}")
    for key, value in metrics.items():
        if not math.isfinite(value):
            raise BundleError(f"expected a finite figure, found {value!r}", where=f"metric {key!r}")


def _tensors_to_bytes(tensors: Weights, where: str) -> bytes:
    import numpy as np
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    for name, array in arrays.items():
        _check_dtype(where, name, array)
    data: bytes = save(arrays)
    return data


def _parse_tensors(data: bytes, where: str) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors: dict[str, NDArray[Any]] = load(data)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise BundleError(f"not safetensors: {error}", where=where) from error
    for name, array in tensors.items():
        _check_dtype(where, name, array)
    return tensors


def _check_dtype(where: str, name: str, array: NDArray[np.generic]) -> None:
    if array.dtype.name not in _DTYPES[where]:
        raise BundleError(
            f"expected a tensor of {', '.join(_DTYPES[where])}, found {array.dtype.name}",
            where=f"{where}, tensor {name!r}",
        )


def _to_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
