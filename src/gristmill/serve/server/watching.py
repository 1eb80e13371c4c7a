"""A model's endpoint, watched where its bundle says what it was trained on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from gristmill.core.errors import DataError, ServeError, UsageError
from gristmill.serve.routing.watched import Watched
from gristmill.serve.watch.drift import DriftWatch
from gristmill.serve.watch.instance import Instance
from gristmill.serve.watch.served_profile import ServedProfile
from gristmill.serve.watch.statistician import statistician_of

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Endpoint
    from gristmill.serve.server.settings import Settings
    from gristmill.store.bundle import Bundle

log = logging.getLogger("gristmill.serve")

_DIGITS = 12


def watched(endpoint: Endpoint, bundle: Bundle, settings: Settings) -> Endpoint:
    """Return an endpoint that is watched; as it is where that is not wanted or not possible.

    It is possible where the bundle holds a schema or a profile of its training data, and where
    somebody said who reads them (`watch.statistician.statisticians`): the command line does. What
    was served is kept under `settings.watch_folder`, by model and bundle; without it, in memory.

    Args:
        endpoint: answers with the bundle's model.
        bundle: what it answers with.
        settings: whether to watch, and where to keep what was served.

    Raises:
        BundleError: a file was changed since the bundle was opened.
        ServeError: the folder cannot be written.
    """
    if not settings.watch:
        return endpoint
    try:
        statistician = statistician_of(bundle)
    except (DataError, UsageError) as error:
        # Of another version, or edited by hand: no reason not to answer.
        log.warning("%s is not watched: %s", endpoint.name, error)
        return endpoint
    if statistician is None:
        return endpoint
    if not settings.watch_folder:
        return Watched(endpoint, DriftWatch(endpoint.name, ServedProfile(statistician)))
    # A new bundle is compared with other training data, so it begins anew.
    name = f"{quote(endpoint.name, safe='')}-{bundle.fingerprint[:_DIGITS]}"
    folder = Path(settings.watch_folder) / name
    try:
        instance = Instance(folder)
    except OSError as error:
        raise ServeError(
            f"what is served cannot be kept: {error.strerror or error}",
            where=str(folder),
            fix="name a folder that can be written with --watch-folder, or say --no-watch",
        ) from error
    profile = ServedProfile(statistician, folder, instance=instance)
    return Watched(endpoint, DriftWatch(endpoint.name, profile))
