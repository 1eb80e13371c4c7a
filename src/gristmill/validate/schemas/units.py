"""Units that names of columns tell, and the bounds that nature gives them."""

from __future__ import annotations

import re

_WORDS = {
    "second": ("seconds", "secs", "sec"),
    "millisecond": ("milliseconds", "millis", "ms", "msec"),
    "minute": ("minutes", "mins"),
    "hour": ("hours", "hrs"),
    "day": ("days",),
    "year": ("years", "yrs"),
    "kilometre": ("km", "kms", "kilometers", "kilometres"),
    "metre": ("meters", "metres"),
    "mile": ("mi", "miles"),
    "foot": ("ft", "feet"),
    "kilogram": ("kg", "kgs", "kilograms"),
    "pound": ("lb", "lbs"),
    "gram": ("grams",),
    "litre": ("liters", "litres"),
    "USD": ("usd", "dollars"),
    "EUR": ("eur", "euros"),
    "GBP": ("gbp",),
    "percent": ("pct", "percent", "percentage"),
    "probability": ("prob", "proba", "probability"),
    "degree of latitude": ("lat", "latitude"),
    "degree of longitude": ("lon", "lng", "long", "longitude"),
    "degree Celsius": ("celsius", "degc"),
    "degree Fahrenheit": ("fahrenheit", "degf"),
    "kilometre per hour": ("kmh", "kph"),
    "mile per hour": ("mph",),
    "byte": ("bytes",),
}
_UNITS = {word: unit for unit, words in _WORDS.items() for word in words}
_NATURAL = {
    "degree of latitude": (-90.0, 90.0),
    "degree of longitude": (-180.0, 180.0),
    "percent": (0.0, 100.0),
    "probability": (0.0, 1.0),
}
_SIGNED = {"USD", "EUR", "GBP", "percent", "degree Celsius", "degree Fahrenheit"} | {
    "degree of latitude",
    "degree of longitude",
}
_AMOUNTS = {
    *("age", "price", "fare", "count", "counts", "quantity", "qty", "size", "weight", "height"),
    *("width", "length", "depth", "distance", "duration", "area", "population"),
}
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def unit_of(name: str) -> str | None:
    """Return the unit that the last words of a name tell ("trip_seconds", "DistanceKm")."""
    parts = name_parts(name)
    for part in reversed(parts[-2:]):
        unit = _UNITS.get(part)
        if unit is not None and (part not in ("mi", "ms", "long") or len(parts) > 1):
            return unit
    return None


def natural_bounds(unit: str | None) -> tuple[float, float] | None:
    """Return the bounds that numbers of a unit cannot leave."""
    return None if unit is None else _NATURAL.get(unit)


def is_amount(name: str) -> bool:
    """Whether a name tells of amounts, such as lengths and prices: never below zero."""
    unit = unit_of(name)
    if unit is not None:
        return unit not in _SIGNED
    return bool(_AMOUNTS.intersection(name_parts(name)[-2:]))


def name_parts(name: str) -> list[str]:
    """Split a name into words in lower case."""
    return [part.lower() for part in _PARTS.findall(name)]
