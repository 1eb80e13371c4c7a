"""An endpoint's predictions, kept where the settings say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.errors import ServeError, StoreError, UsageError
from gristmill.serve.routing.kept import Kept
from gristmill.serve.watch.kept_predictions import served_folder
from gristmill.serve.watch.prediction_log import PredictionLog
from gristmill.serve.watch.truth_log import TruthLog

if TYPE_CHECKING:
    from gristmill.serve.online.endpoint import Endpoint
    from gristmill.serve.server.settings import Settings


def kept(endpoint: Endpoint, settings: Settings) -> Endpoint:
    """Return an endpoint whose predictions are kept; as it is where that is not wanted.

    They are kept under `settings.watch_folder`, by name: what was answered before a model was
    exchanged and what is answered after it lie in the same log, each with the version that did.

    Args:
        endpoint: answers requests.
        settings: whether and how much to keep, and where.

    Raises:
        ServeError: the folder cannot be written.
        UsageError: there is no folder, or the key is no field that can be one.
    """
    keeping = settings.keep
    if keeping is None:
        return endpoint
    check_place(settings)
    field = next((field for field in endpoint.inputs if field.name == keeping.key), None)
    if field is not None and field.kind not in ("string", "int"):
        raise UsageError(f"key: expected a field of texts or integers, found {field.kind}")
    folder = served_folder(settings.watch_folder, endpoint.name)
    try:
        predictions = PredictionLog(folder, classes=endpoint.classes, keeping=keeping)
    except StoreError as error:
        raise ServeError(
            f"predictions cannot be kept: {error.message}", where=error.where, fix=error.fix
        ) from error
    truths = TruthLog(folder, keeping=keeping)
    truths.read_ahead()
    return Kept(endpoint, predictions, truths)


def check_place(settings: Settings) -> None:
    """Check that there is a folder for what is to be kept.

    Raises:
        UsageError: there is none.
    """
    if settings.keep is not None and not settings.watch_folder:
        raise UsageError(
            "expected a folder to keep predictions in, found none",
            fix="name one with --watch-folder, or serve a serving file, which has one",
        )
