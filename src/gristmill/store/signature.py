"""What a model is asked and what it answers: the fields of a request and of an answer."""

from __future__ import annotations

from math import prod
from typing import Literal, TypeAlias

import msgspec

from gristmill.core.errors import BundleError
from gristmill.store.graph import DTypeName

FieldKind: TypeAlias = Literal["string", "int", "float", "bool", "tensor", "image"]


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One value of a request or of an answer.

    Attributes:
        name: its key, or column.
        kind: its type; an int is welcome where a float is expected, a bool nowhere but as bool.
            `tensor` is an array of numbers; `image` is uint8[height, width, channels], which the
            model reads as float32[channels, height, width] from 0 to 1.
        required: whether it must be there and not null.
        max_length: most characters of a string, most elements of a free dimension.
        domain: the only strings that are allowed.
        min: least number that is allowed.
        max: greatest number that is allowed.
        dtype: element type of a tensor.
        shape: of one row's tensor, where None, allowed in the first place only, is a free
            dimension; height, width and 1 or 3 channels of an image.

    Raises:
        BundleError: dtype and shape are not those of the kind.
    """

    name: str
    kind: FieldKind
    required: bool = True
    max_length: int | None = None
    domain: list[str] | None = None
    min: float | None = None
    max: float | None = None
    dtype: DTypeName | None = None
    shape: list[int | None] | None = None

    def __post_init__(self) -> None:
        where = f"field {self.name!r}"
        if (self.kind == "tensor") != (self.dtype is not None):
            raise BundleError("expected a dtype for a tensor, and for nothing else", where=where)
        if (self.kind in ("tensor", "image")) != (self.shape is not None):
            raise BundleError("expected a shape for a tensor or an image alone", where=where)
        if self.shape is not None:
            _check_shape(self.kind, self.shape, where)

    @property
    def ragged(self) -> bool:
        """Whether rows may differ in length."""
        return self.shape is not None and None in self.shape[:1]

    @property
    def inner(self) -> tuple[int, ...]:
        """The dimensions that are fixed: of a row, or of each element of a ragged one."""
        return tuple(size for size in self.shape or () if size is not None)

    @property
    def elements(self) -> int:
        """Numbers in a row; in each element of a ragged one."""
        return prod(self.inner)


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model is asked and what it answers."""

    inputs: list[Field]
    outputs: list[Field]


def _check_shape(kind: FieldKind, shape: list[int | None], where: str) -> None:
    if any(size is None for size in shape[1:]) or any(
        size is not None and size < 1 for size in shape
    ):
        raise BundleError(
            f"expected sizes above 0, only the first of them free, found {shape}", where=where
        )
    if kind == "image" and (len(shape) != 3 or None in shape or shape[2] not in (1, 3)):
        raise BundleError(
            f"expected height, width and 1 or 3 channels of an image, found {shape}", where=where
        )
