"""Who makes a change, where nobody says."""

from __future__ import annotations

import getpass


def current_user() -> str:
    """Return the name that the machine knows the user by, or "unknown"."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
