"""A vote: what a source says about a row."""

from __future__ import annotations

from typing import TypeAlias

ABSTAIN = -1
"""The vote that says nothing; `None` means the same."""

Vote: TypeAlias = int | str | None
"""What a labelling function answers for a row: a class index, a class name, or None to abstain."""
