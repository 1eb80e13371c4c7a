"""Lets a process live at another time: Python runs this first where its folder is on PYTHONPATH.

The file that `DRIFT_LOOP_CLOCK` names holds the seconds to add to the time of day, as a float of
eight bytes. The replay writes it, and so the server and what is called beside it find themselves in
the days whose rows are sent: hours, cool-downs and the registry's log are those of the story.
"""

import mmap
import os
import struct
import time

_PATH = os.environ.get("DRIFT_LOOP_CLOCK")

if _PATH:
    with open(_PATH, "rb") as _file:  # noqa: PTH123 - every process begins here: no imports to spare
        _shift = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)
    _real = time.time

    def _shifted() -> float:
        return _real() + struct.unpack("<d", _shift[:8])[0]

    time.time = _shifted
