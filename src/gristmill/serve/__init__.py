"""Serve: a bundle behind HTTP, or run over a table.

with running_server("bundles/spam") as server:
    server.client.predict([{"text": "Win a prize now"}])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.serve.app import App as App
    from gristmill.serve.app import app_from_runner as app_from_runner
    from gristmill.serve.client import Client as Client
    from gristmill.serve.client import Prediction as Prediction
    from gristmill.serve.predict import PredictionSummary as PredictionSummary
    from gristmill.serve.predict import predict_table as predict_table
    from gristmill.serve.process import ServerProcess as ServerProcess
    from gristmill.serve.process import running_server as running_server
    from gristmill.serve.protocol import Limits as Limits
    from gristmill.serve.records import RecordError as RecordError
    from gristmill.serve.refusal import Refusal as Refusal
    from gristmill.serve.runner import Runner as Runner
    from gristmill.serve.server import app_from_bundle as app_from_bundle
    from gristmill.serve.server import serve as serve

_EXPORTS = {
    "App": "app",
    "Client": "client",
    "Limits": "protocol",
    "Prediction": "client",
    "PredictionSummary": "predict",
    "RecordError": "records",
    "Refusal": "refusal",
    "Runner": "runner",
    "ServerProcess": "process",
    "app_from_bundle": "server",
    "app_from_runner": "app",
    "predict_table": "predict",
    "running_server": "process",
    "serve": "server",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
