"""The gate: a new model must beat the champion on the same data, or its run is cancelled."""

from dataclasses import dataclass

from modelwright.errors import MetricMissing, ModelMissing, NotBetter, ProjectInvalid
from modelwright.models import packages
from modelwright.records import Goal, ModelVersion
from modelwright.runs.execution import Execution
from modelwright.store import models
from modelwright.store.database import Store

CHAMPION = "champion"


@dataclass(frozen=True)
class Gate:
    """Which metric decides, and which direction of it is better."""

    metric: str
    goal: Goal


@dataclass(frozen=True)
class Verdict:
    """Why a new model passed: its value beside the champion's, or no champion to beat."""

    metric: str
    new: float
    champion: str | None
    old: float | None


def find_champion(store: Store, model: str) -> ModelVersion | None:
    """Return the version that `champion` of `model` points at."""
    try:
        return models.find_version(store, f"{model}@{CHAMPION}")
    except ModelMissing:
        return None


def decide(execution: Execution, *, gate: Gate, metrics: dict[str, float], model: str) -> Verdict:
    """Pass the new model or raise NotBetter, which cancels the run.

    The champion is evaluated by this run's own evaluation step on this run's own data; equal is not better, and neither
    is NaN. The first model passes. Raises MetricMissing when the metric was not recorded.
    """
    active = execution.active
    manifest = active.project / "wright.toml"
    if gate.metric not in metrics:
        raise MetricMissing(metric=gate.metric, source=active.run.id, manifest=manifest)
    new = metrics[gate.metric]
    champion = find_champion(active.store, model)
    if champion is None:
        return Verdict(gate.metric, new, None, None)
    old = _evaluate(execution, champion).get(gate.metric)
    if old is None:
        raise MetricMissing(metric=gate.metric, source=champion.reference, manifest=manifest)
    is_better = new < old if gate.goal is Goal.MINIMIZE else new > old
    if not is_better:
        raise NotBetter(
            champion=champion.reference, metric=gate.metric, new=new, old=old, goal=gate.goal, folder=active.project
        )
    return Verdict(gate.metric, new, champion.reference, old)


def _evaluate(execution: Execution, champion: ModelVersion) -> dict[str, float]:
    """Return the champion's metrics on this run's data."""
    pipeline = execution.pipeline
    metrics_name, model_name = pipeline.results.get("metrics"), pipeline.results.get("model")
    step = next((each for each in pipeline.steps if metrics_name in each.outputs), None)
    if step is None or model_name is None or model_name not in step.inputs:
        raise ProjectInvalid(path=pipeline.file, reason='the step that gives "metrics" must take the "model"')
    folder = packages.restore(execution.active.store, champion) / packages.MODEL_FOLDER
    model_file = next(path for path in sorted(folder.rglob("*")) if path.is_file())
    name = f"{step.name} of {champion.reference}"
    return execution.evaluate(step, given={model_name: model_file}, name=name)[str(metrics_name)]
