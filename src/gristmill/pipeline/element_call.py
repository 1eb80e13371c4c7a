"""One call of a step's function for one element, wherever that happens to be."""

from __future__ import annotations

import functools
import importlib
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gristmill.core.errors import GristmillError, StepError
from gristmill.core.redaction import is_anything_hidden, redact_error
from gristmill.core.scratch import Scratch
from gristmill.pipeline.context import working_in
from gristmill.pipeline.graph import AnyStep
from gristmill.pipeline.load import user_place
from gristmill.pipeline.secrets import refuse_hidden
from gristmill.store.artifacts import check_content, open_artifacts
from gristmill.store.codecs import Encoded, decode
from gristmill.store.gathered import Member
from gristmill.store.packs import is_small
from gristmill.store.parcels import Parcel, pack
from gristmill.store.runs import Artifact


@dataclass(frozen=True, slots=True)
class ElementAnswer:
    """What a call gave, and the seconds that it took.

    Attributes:
        seconds: of the function.
        encoded: what the result is.
        parcel: the result as bytes; None where the worker has stored it.
        artifact: what it was stored as; None where it comes as bytes.
    """

    seconds: float
    encoded: Encoded
    parcel: Parcel | None = None
    artifact: Artifact | None = None


@dataclass(frozen=True)
class ElementCall:
    """Calls a step's function with one element. Sent to workers once, and called there.

    Values travel as the bytes that the store keeps of them: no class of the user's is pickled.

    Attributes:
        function: where to import the step from, or its function where it cannot be imported.
        element: the parameter that receives the element.
        settings: name -> value.
        whole: name -> what the step takes whole.
        store: URL of a store that workers reach, too; empty where the driver alone has one.
    """

    function: StepPlace | Callable[..., Any]
    element: str
    settings: Mapping[str, object]
    whole: Mapping[str, Parcel]
    store: str = ""

    def __call__(self, item: Parcel | Member) -> ElementAnswer:
        """Return the result, as bytes unless it is large and there is a store to put it into.

        Args:
            item: the element, as bytes or as where it is in the store.

        Raises:
            GristmillError: what the function raised, with the line of the user's file.
        """
        function = self.function.find() if isinstance(self.function, StepPlace) else self.function
        with Scratch() as scratch:
            values = {name: parcel.unpack(scratch) for name, parcel in self.whole.items()}
            values[self.element] = self._element(item, scratch)
            began = time.perf_counter()
            try:
                with working_in(functools.cache(scratch.folder)):
                    result = function(**values, **self.settings)
            except (Exception, SystemExit) as error:
                redact_error(error)
                raise placed(error, function) from error
            seconds = time.perf_counter() - began
            parcel, encoded = pack(result)
            if is_anything_hidden():
                refuse_hidden(parcel.files.values())
            if not self.store or is_small(parcel):
                return ElementAnswer(seconds, encoded, parcel=parcel)
            return ElementAnswer(seconds, encoded, artifact=self._stored(parcel, encoded, scratch))

    def _element(self, item: Parcel | Member, scratch: Scratch) -> object:
        if isinstance(item, Parcel):
            return item.unpack(scratch)
        content = open_artifacts(self.store, scratch.folder()).get(item.artifact)
        check_content(content, item.artifact)
        return decode(item.codec, content)

    def _stored(self, parcel: Parcel, encoded: Encoded, scratch: Scratch) -> Artifact:
        """Put a result into the store from here: the driver then hears of it, and no more."""
        folder = scratch.folder()
        parcel.lay_out(folder)
        store = open_artifacts(self.store, scratch.folder())
        digest, bytes_ = store.put(folder, encoded.codec)
        return Artifact(digest, encoded.kind, encoded.codec, bytes_, encoded.rows, encoded.summary)


@dataclass(frozen=True)
class StepPlace:
    """Where a step can be imported from."""

    module: str
    name: str

    def find(self) -> Callable[..., Any]:
        """Import the step and return its function.

        Raises:
            StepError: there is no such module or name here.
        """
        try:
            return _named(importlib.import_module(self.module), self.name).function  # type: ignore[no-any-return]
        except (ImportError, AttributeError) as error:
            raise StepError(
                f"the worker cannot import {self.name!r} from {self.module!r}: {error}",
                fix="keep the step and what it imports in the pipeline's folder, which is sent "
                "along, or install it where the workers are",
            ) from error


def sent(step: AnyStep) -> StepPlace | Callable[..., Any]:
    """Return how workers get at a step's function."""
    place = StepPlace(step.function.__module__, step.function.__qualname__)
    module = sys.modules.get(place.module)
    try:
        found = _named(module, place.name)
    except AttributeError:
        return step.function
    return place if found is step else step.function


def placed(error: Exception | SystemExit, function: Callable[..., Any]) -> GristmillError:
    """Return an error of ours that names the line in the user's folder where it came up."""
    file = function.__code__.co_filename if hasattr(function, "__code__") else ""
    where = user_place(error, Path(file).parent) if file else None
    if isinstance(error, GristmillError):
        where = ", ".join(filter(None, [where, error.where])) or None
        return type(error)(error.message, where=where, fix=error.fix)
    said = f": {error}" if str(error) else ""
    return StepError(f"{type(error).__name__}{said}", where=where)


def _named(module: Any, name: str) -> Any:
    found = module
    for part in name.split("."):
        found = getattr(found, part)
    return found
