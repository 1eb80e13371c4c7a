"""SVG by hand: elements with every value escaped, and the frame that makes a drawing accessible.

Colours are never written here. Shapes carry classes (`s1` to `s8` for series, `tick`, `grid`,
`label`...) that the page's style sheet maps to custom properties, one set for light and one for
dark. Elements carry no ids and no style attributes: drawings may repeat on a page, and the page's
content policy refuses inline styles.
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

from gristmill.web.text import clean, shorten

SERIES = 8
"""How many series colours the style sheet has."""

_TITLE_LIMIT = 240


def element(name: str, /, *children: str, **attributes: object) -> Markup:
    """Build one element.

    Args:
        name: the tag; always a constant of the caller.
        children: `Markup` is taken as it is, plain text is cleaned and escaped.
        attributes: a trailing underscore is dropped (`class_`), inner ones become hyphens
            (`text_anchor`); None leaves the attribute out; numbers get two decimals.
    """
    # Plain strings, each escaped: Markup.format is eight times slower, and pages have 100,000s.
    pairs = "".join(
        f' {_attribute_name(key)}="{_attribute_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(_child(child) for child in children)
    return Markup(f"<{name}{pairs}>{inner}</{name}>")  # noqa: S704


def _attribute_name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _attribute_value(value: object) -> str:
    if isinstance(value, float | int):
        return number(value)
    return str(escape(clean(str(value))))


def _child(child: str) -> Markup:
    return child if isinstance(child, Markup) else escape(clean(child))


def number(value: float) -> str:
    """Print a coordinate: at most two decimals, no trailing zeros."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def group(*children: str, **attributes: object) -> Markup:
    """Group elements."""
    return element("g", *children, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Draw a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def rect(
    x: float, y: float, width: float, height: float, class_: str, **attributes: object
) -> Markup:
    """Draw a rectangle; a negative or tiny size is drawn as a hair."""
    return element(
        "rect",
        x=x,
        y=y,
        width=max(width, 0.0),
        height=max(height, 0.0),
        class_=class_,
        **attributes,
    )


def circle(x: float, y: float, radius: float, class_: str) -> Markup:
    """Draw a dot."""
    return element("circle", cx=x, cy=y, r=radius, class_=class_)


def text(x: float, y: float, content: str, class_: str, anchor: str | None = None) -> Markup:
    """Write one line of text; `anchor` is None (start), `middle` or `end`."""
    return element("text", content, x=x, y=y, class_=class_, text_anchor=anchor)


def path(data: str, class_: str) -> Markup:
    """Draw a path given in SVG's path language."""
    return element("path", d=data, class_=class_)


def polyline(points: Iterable[tuple[float, float]], class_: str) -> Markup:
    """Draw a line through points."""
    joined = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return element("polyline", points=joined, class_=class_)


def hover(note: str, *shapes: str) -> Markup:
    """Give shapes a note that the browser shows under the pointer."""
    return group(element("title", shorten(note, _TITLE_LIMIT)), *shapes)


def series_class(place: int) -> str:
    """Return the class of the series at `place` (0, 1, ...); past the last colour it repeats."""
    return f"s{place % SERIES + 1}" + (" again" if place >= SERIES else "")


def drawing(
    width: float, height: float, title: str, description: str, *shapes: str, class_: str = "chart"
) -> Markup:
    """Frame shapes as a picture that assistive software reads as `title` and `description`.

    Args:
        width: of the coordinate system, in pixels at full size; the page may shrink it.
        height: likewise.
        title: what the picture is.
        description: what it shows, in a sentence or two.
        shapes: the elements, back to front.
        class_: class of the svg element.
    """
    return element(
        "svg",
        element("title", shorten(title, _TITLE_LIMIT)),
        element("desc", shorten(description, 2000)),
        *shapes,
        class_=class_,
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=width,
        height=height,
        role="img",
        aria_label=shorten(title, _TITLE_LIMIT),
    )
