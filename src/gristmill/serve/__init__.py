"""Serve: a bundle behind HTTP, or run over a table.

with running_server("bundles/spam") as server:
    server.client.predict([{"text": "Win a prize now"}])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.serve.client import Client as Client
    from gristmill.serve.client import Prediction as Prediction
    from gristmill.serve.offline.summary import PredictionSummary as PredictionSummary
    from gristmill.serve.offline.table_prediction import predict_table as predict_table
    from gristmill.serve.online.cache import AnswerCache as AnswerCache
    from gristmill.serve.online.model_endpoint import ModelEndpoint as ModelEndpoint
    from gristmill.serve.protocol import Limits as Limits
    from gristmill.serve.ray_serve import ray_serve_app as ray_serve_app
    from gristmill.serve.refusal import Refusal as Refusal
    from gristmill.serve.routing.canary import Canary as Canary
    from gristmill.serve.routing.ensemble import Ensemble as Ensemble
    from gristmill.serve.routing.selected import Selected as Selected
    from gristmill.serve.routing.shadow import Shadow as Shadow
    from gristmill.serve.routing.swappable import Swappable as Swappable
    from gristmill.serve.runners.checking import Checker as Checker
    from gristmill.serve.runners.opening import open_runner as open_runner
    from gristmill.serve.runners.records import RecordError as RecordError
    from gristmill.serve.runners.rows import Ragged as Ragged
    from gristmill.serve.runners.rows import Rows as Rows
    from gristmill.serve.runners.runner import Runner as Runner
    from gristmill.serve.selection.feedback_log import FeedbackLog as FeedbackLog
    from gristmill.serve.selection.kinds import policy_named as policy_named
    from gristmill.serve.server.app import App as App
    from gristmill.serve.server.lifecycle import app_from_bundle as app_from_bundle
    from gristmill.serve.server.lifecycle import app_from_runner as app_from_runner
    from gristmill.serve.server.lifecycle import serve as serve
    from gristmill.serve.server.model_plan import ModelPlan as ModelPlan
    from gristmill.serve.server.process import ServerProcess as ServerProcess
    from gristmill.serve.server.process import running_server as running_server
    from gristmill.serve.server.route_plans import CanaryPlan as CanaryPlan
    from gristmill.serve.server.route_plans import EnsemblePlan as EnsemblePlan
    from gristmill.serve.server.route_plans import FieldContext as FieldContext
    from gristmill.serve.server.route_plans import SelectionPlan as SelectionPlan
    from gristmill.serve.server.route_plans import ShadowPlan as ShadowPlan
    from gristmill.serve.server.serving_plan import ServingPlan as ServingPlan
    from gristmill.serve.server.settings import Settings as Settings
    from gristmill.serve.watch.keeping import Keeping as Keeping
    from gristmill.serve.watch.kept_predictions import KeptPrediction as KeptPrediction
    from gristmill.serve.watch.kept_predictions import kept_predictions as kept_predictions
    from gristmill.serve.watch.kept_predictions import served_folder as served_folder
    from gristmill.serve.watch.telling import tell_truths as tell_truths

_EXPORTS = {
    "AnswerCache": "online.cache",
    "App": "server.app",
    "Canary": "routing.canary",
    "CanaryPlan": "server.route_plans",
    "Checker": "runners.checking",
    "Client": "client",
    "Ensemble": "routing.ensemble",
    "EnsemblePlan": "server.route_plans",
    "FeedbackLog": "selection.feedback_log",
    "FieldContext": "server.route_plans",
    "Keeping": "watch.keeping",
    "KeptPrediction": "watch.kept_predictions",
    "Limits": "protocol",
    "ModelEndpoint": "online.model_endpoint",
    "ModelPlan": "server.model_plan",
    "Prediction": "client",
    "PredictionSummary": "offline.summary",
    "Ragged": "runners.rows",
    "RecordError": "runners.records",
    "Refusal": "refusal",
    "Rows": "runners.rows",
    "Runner": "runners.runner",
    "Selected": "routing.selected",
    "SelectionPlan": "server.route_plans",
    "ServerProcess": "server.process",
    "ServingPlan": "server.serving_plan",
    "Settings": "server.settings",
    "Shadow": "routing.shadow",
    "ShadowPlan": "server.route_plans",
    "Swappable": "routing.swappable",
    "app_from_bundle": "server.lifecycle",
    "app_from_runner": "server.lifecycle",
    "kept_predictions": "watch.kept_predictions",
    "open_runner": "runners.opening",
    "policy_named": "selection.kinds",
    "predict_table": "offline.table_prediction",
    "ray_serve_app": "ray_serve",
    "running_server": "server.process",
    "serve": "server.lifecycle",
    "served_folder": "watch.kept_predictions",
    "tell_truths": "watch.telling",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
