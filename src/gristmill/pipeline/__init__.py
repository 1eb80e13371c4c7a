"""Pipelines: functions marked `@step`, run in order, cached by all the code they can reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.pipeline.bundle_profile import answers_of as answers_of
    from gristmill.pipeline.bundle_profile import training_profile as training_profile
    from gristmill.pipeline.context import say as say
    from gristmill.pipeline.context import workdir as workdir
    from gristmill.pipeline.feedback_gold import FeedbackGold as FeedbackGold
    from gristmill.pipeline.feedback_gold import gather_feedback as gather_feedback
    from gristmill.pipeline.feedback_gold import gathered_gold as gathered_gold
    from gristmill.pipeline.gating.contender import Contender as Contender
    from gristmill.pipeline.gating.evidence import Evidence as Evidence
    from gristmill.pipeline.gating.gate import judge as judge
    from gristmill.pipeline.gating.policy import Policy as Policy
    from gristmill.pipeline.gating.verdict import Verdict as Verdict
    from gristmill.pipeline.graph import Pipeline as Pipeline
    from gristmill.pipeline.incremental_bundle import BundledModel as BundledModel
    from gristmill.pipeline.incremental_bundle import bundled_model as bundled_model
    from gristmill.pipeline.load import load_pipeline as load_pipeline
    from gristmill.pipeline.monitoring.looking import monitor as monitor
    from gristmill.pipeline.monitoring.monitor_plan import MonitorPlan as MonitorPlan
    from gristmill.pipeline.monitoring.monitored import Monitored as Monitored
    from gristmill.pipeline.monitoring.trigger import Action as Action
    from gristmill.pipeline.monitoring.trigger import triggered as triggered
    from gristmill.pipeline.planning import explain as explain
    from gristmill.pipeline.provenance.export import export_run as export_run
    from gristmill.pipeline.provenance.exported import Exported as Exported
    from gristmill.pipeline.provenance.mlflow_run import MlflowRun as MlflowRun
    from gristmill.pipeline.provenance.mlflow_run import export_to_mlflow as export_to_mlflow
    from gristmill.pipeline.releasing.promotion import promote as promote
    from gristmill.pipeline.releasing.promotion import release as release
    from gristmill.pipeline.releasing.rehearsal import Rehearsal as Rehearsal
    from gristmill.pipeline.releasing.rehearsal import rehearse as rehearse
    from gristmill.pipeline.releasing.stored_request import StoredRequest as StoredRequest
    from gristmill.pipeline.releasing.stored_request import read_requests as read_requests
    from gristmill.pipeline.run_record import RunResult as RunResult
    from gristmill.pipeline.running import run as run
    from gristmill.pipeline.secrets import Secret as Secret
    from gristmill.pipeline.secrets import secret as secret
    from gristmill.pipeline.steps import Step as Step
    from gristmill.pipeline.steps import step as step
    from gristmill.pipeline.watching.passage import Moment as Moment
    from gristmill.pipeline.watching.passage import Passage as Passage
    from gristmill.pipeline.watching.video_watch import watch_video as watch_video

_EXPORTS = {
    "Action": "monitoring.trigger",
    "BundledModel": "incremental_bundle",
    "Contender": "gating.contender",
    "Evidence": "gating.evidence",
    "Exported": "provenance.exported",
    "FeedbackGold": "feedback_gold",
    "MlflowRun": "provenance.mlflow_run",
    "Moment": "watching.passage",
    "MonitorPlan": "monitoring.monitor_plan",
    "Monitored": "monitoring.monitored",
    "Passage": "watching.passage",
    "Pipeline": "graph",
    "Policy": "gating.policy",
    "Rehearsal": "releasing.rehearsal",
    "RunResult": "run_record",
    "Secret": "secrets",
    "Step": "steps",
    "StoredRequest": "releasing.stored_request",
    "Verdict": "gating.verdict",
    "answers_of": "bundle_profile",
    "bundled_model": "incremental_bundle",
    "explain": "planning",
    "export_run": "provenance.export",
    "export_to_mlflow": "provenance.mlflow_run",
    "gather_feedback": "feedback_gold",
    "gathered_gold": "feedback_gold",
    "judge": "gating.gate",
    "load_pipeline": "load",
    "monitor": "monitoring.looking",
    "promote": "releasing.promotion",
    "read_requests": "releasing.stored_request",
    "rehearse": "releasing.rehearsal",
    "release": "releasing.promotion",
    "run": "running",
    "say": "context",
    "secret": "secrets",
    "step": "steps",
    "training_profile": "bundle_profile",
    "triggered": "monitoring.trigger",
    "watch_video": "watching.video_watch",
    "workdir": "context",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
