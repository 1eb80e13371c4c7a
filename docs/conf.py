"""Sphinx: furo, MyST for the pages, autodoc for the reference. Nothing is fetched while building."""

from __future__ import annotations

from gristmill import __version__

project = "Gristmill"
author = "the Gristmill authors"
copyright = "the Gristmill authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
default_role = "code"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"Gristmill {version}"
