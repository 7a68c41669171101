"""The nouns: frozen records that the rooms exchange, a file for each. No I/O."""

from modelwright.records.datasets import DatasetVersion
from modelwright.records.endpoints import Deployment, DeploymentStatus, Endpoint
from modelwright.records.environments import BuiltEnvironment, Lock, LockSource, Requirement
from modelwright.records.filters import AllOf, AnyOf, Condition, Order, Place, Term
from modelwright.records.ids import new_id, now
from modelwright.records.models import ModelVersion, PackageFile
from modelwright.records.notebooks import (
    Beside,
    Cell,
    Finding,
    Function,
    Goal,
    Metric,
    Notebook,
    NotebookRun,
    Parameter,
    Plan,
    Plot,
    ProbePoint,
    Removal,
    Report,
    Shown,
    Wishes,
)
from modelwright.records.projects import GitState, Project
from modelwright.records.proofs import Comparison, Proof
from modelwright.records.runs import Artifact, Kind, Point, Run, Status, StepRun
from modelwright.records.serving import CaptureRecord, DeployAnswer, FrontLimits, FrontStatus, ScoringAnswer, WorkerSpec
from modelwright.records.traces import StatementTrace, Trace

__all__ = [
    "AllOf",
    "AnyOf",
    "Artifact",
    "Beside",
    "BuiltEnvironment",
    "CaptureRecord",
    "Cell",
    "Comparison",
    "Condition",
    "DatasetVersion",
    "DeployAnswer",
    "Deployment",
    "DeploymentStatus",
    "Endpoint",
    "Finding",
    "FrontLimits",
    "FrontStatus",
    "Function",
    "GitState",
    "Goal",
    "Kind",
    "Lock",
    "LockSource",
    "Metric",
    "ModelVersion",
    "Notebook",
    "NotebookRun",
    "Order",
    "PackageFile",
    "Parameter",
    "Place",
    "Plan",
    "Plot",
    "Point",
    "ProbePoint",
    "Project",
    "Proof",
    "Removal",
    "Report",
    "Requirement",
    "Run",
    "ScoringAnswer",
    "Shown",
    "StatementTrace",
    "Status",
    "StepRun",
    "Term",
    "Trace",
    "Wishes",
    "WorkerSpec",
    "new_id",
    "now",
]
