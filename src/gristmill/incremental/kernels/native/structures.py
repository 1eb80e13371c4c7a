"""What the C functions take, as they declare it."""

from __future__ import annotations

from ctypes import Structure, c_float, c_long, c_void_p

import numpy as np

LONG = np.dtype(c_long)
"""Of arrays of C's `long`: to look it up takes NumPy some microseconds."""


class ConvolutionStructure(Structure):
    """`struct convolution`."""

    _fields_ = [
        ("inputs", c_long),
        ("outputs", c_long),
        ("rows", c_long),
        ("columns", c_long),
        ("row_stride", c_long),
        ("column_stride", c_long),
        ("row_dilation", c_long),
        ("column_dilation", c_long),
        ("above", c_long),
        ("before", c_long),
        ("depthwise", c_long),
        ("apart", c_long),
        ("bits", c_long),
        ("finite", c_long),
        ("bend", c_long),
        ("slope", c_float),
        ("low", c_float),
        ("high", c_float),
        ("sum_low", c_float),
        ("sum_high", c_float),
        ("weights", c_void_p),
        ("bias", c_void_p),
        ("scales", c_void_p),
        ("offsets", c_void_p),
        ("per_step", c_void_p),
    ]


class KnownStructure(Structure):
    """`struct known`."""

    _fields_ = [
        ("values", c_void_p),
        ("sums", c_void_p),
        ("places", c_void_p),
    ]


class ShortcutStructure(Structure):
    """`struct shortcut`."""

    _fields_ = [
        ("base", c_void_p),
        ("patches", c_void_p),
        ("count", c_long),
        ("numbers", c_void_p),
    ]


class LinkStructure(Structure):
    """`struct link`."""

    _fields_ = [
        ("convolution", ConvolutionStructure),
        ("height", c_long),
        ("width", c_long),
        ("pools", c_long),
    ]


class MapStructure(Structure):
    """`struct map`."""

    _fields_ = [
        ("values", c_void_p),
        ("height", c_long),
        ("width", c_long),
        ("top", c_long),
        ("left", c_long),
        ("row", c_long),
        ("pixel", c_long),
        ("frame", c_long),
        ("ring", c_long),
        ("begin", c_long),
        ("end", c_long),
    ]


class PixelsStructure(Structure):
    """`struct pixels`."""

    _fields_ = [
        ("values", c_void_p),
        ("top", c_long),
        ("left", c_long),
        ("height", c_long),
        ("width", c_long),
        ("channels", c_long),
    ]


class TiledStructure(Structure):
    """`struct tiled_convolution`."""

    _fields_ = [
        ("weights", c_void_p),
        ("bias", c_void_p),
        ("low", c_float),
        ("high", c_float),
        ("bend", c_long),
        ("slope", c_float),
    ]


class EndingStructure(Structure):
    """`struct ending`."""

    _fields_ = [
        ("added", c_void_p),
        ("low", c_float),
        ("high", c_float),
        ("pooled", c_long),
    ]


class DistanceStructure(Structure):
    """`struct distance`."""

    _fields_ = [
        ("largest", c_long),
        ("sum", c_long),
    ]


class NoiseStructure(Structure):
    """`struct noise_rule`."""

    _fields_ = [
        ("height", c_long),
        ("width", c_long),
        ("tile", c_long),
        ("threshold", c_long),
        ("pixels", c_long),
        ("blur", c_long),
    ]


class SieveStructure(Structure):
    """`struct sieve`."""

    _fields_ = [
        ("found", c_void_p),
        ("found_row", c_long),
        ("top", c_long),
        ("left", c_long),
        ("kept", c_void_p),
        ("kept_row", c_long),
        ("channels", c_long),
        ("threshold", c_float),
    ]
