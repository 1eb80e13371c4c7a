"""Sphinx: furo, MyST for the pages, autodoc for the reference. A build fetches nothing."""

from __future__ import annotations

from typing import Any

from gristmill import __version__

project = "Gristmill"
author = "the Gristmill authors"
copyright = "the Gristmill authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
default_role = "code"
# Types are named shortly, and two rooms have a class `Report`: such a name gets no link.
suppress_warnings = ["ref.python"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"Gristmill {version}"


def fences_to_blocks(*event: Any) -> None:
    """Turn the Markdown code fences of a docstring into reStructuredText, for autodoc."""
    lines: list[str] = event[-1]
    inside = False
    for position, line in enumerate(lines):
        if line.strip().startswith("```"):
            inside = not inside
            lines[position : position + 1] = ["::", ""] if inside else [""]
        elif inside:
            lines[position] = f"    {line}"


def setup(app: Any) -> None:
    """Connect what this file adds to Sphinx."""
    app.connect("autodoc-process-docstring", fences_to_blocks, priority=100)
