"""The gate: a new model must beat the champion on the same rows, or its run is cancelled.

The champion is the version that the alias `champion` points at, whatever experiment it came from.
"""

from typing import Any

from modelwright import records
from modelwright.errors import GateRefused, MetricMissing, ModelMissing, ModelRenamed, NotBetter
from modelwright.models.gate import contests, verdicts
from modelwright.models.gate.contests import Gate
from modelwright.records import ModelVersion, Outcome, Verdict
from modelwright.runs.active import ActiveRun
from modelwright.runs.execution import Execution
from modelwright.store import gates, models, runs
from modelwright.store.changes import change
from modelwright.store.database import Store

CHAMPION = "champion"


def find_champion(store: Store, model: str) -> ModelVersion | None:
    """Return the version that `champion` of `model` points at. Raises ModelRenamed for a model of another name now."""
    try:
        return models.find_version(store, f"{model}@{CHAMPION}")
    except ModelRenamed:
        raise
    except ModelMissing:
        return None


def decide(execution: Execution, *, gate: Gate, metrics: dict[str, float], model: str) -> Verdict:
    """Pass the new model, or raise NotBetter or GateRefused, which cancel the run; the verdict is recorded first.

    Both models are measured by this run's own steps on this run's own data; equal is not better, and neither is NaN.
    The first model passes what needs no champion. A metric that a step logs counts as one that it returns, by its last
    value. Raises MetricMissing, and ProjectInvalid when the pipeline cannot measure another model.
    """
    active = execution.active
    champion = find_champion(active.store, model)
    found = _measured(execution, gate, metrics, champion=champion, model=model)
    reference = champion.reference if champion else None
    refusals = verdicts.refusals(gate, found)
    comparison = verdicts.comparison(found, reference)
    is_passed = verdicts.is_better(found) and not refusals
    verdict = Verdict(
        id=records.new_id("verdict"),
        run_id=active.run.id,
        model=model,
        champion=reference,
        outcome=(Outcome.PASSED if champion else Outcome.FIRST) if is_passed else Outcome.REFUSED,
        reason="; ".join([comparison, *refusals]),
        created_at=records.now(),
        numbers=found | {"cautions": verdicts.cautions(found), "notes": verdicts.notes(found)},
    )
    _record(active, verdict)
    if not verdicts.is_better(found):
        raise NotBetter(
            champion=reference,
            metric=gate.metric,
            new=found["new"],
            old=found["old"],
            where=verdicts.where(found),
            goal=gate.goal,
            interval=verdicts.interval(found),
            folder=active.project,
        )
    if refusals:
        reasons = "; ".join(refusals)
        raise GateRefused(reasons=reasons, comparison=comparison, run=active.run.id, folder=active.project)
    return verdict


def _measured(
    execution: Execution, gate: Gate, metrics: dict[str, float], *, champion: ModelVersion | None, model: str
) -> dict[str, Any]:
    """Return the numbers that are decided on."""
    active = execution.active
    known = runs.get_run(active.store, active.run.id).metrics | metrics
    _check_metric(active, gate, known, source=active.run.id)
    told: dict[str, Any] = {}
    if champion or gate.asks_of_every_model:
        told = contests.measure(execution, gate, champion=champion, model=model)
        for each, found in told["metrics"].items():
            source = champion.reference if champion and each == "champion" else active.run.id
            _check_metric(active, gate, found, source=source)
    return verdicts.numbers(
        gate,
        new=known[gate.metric],
        champion=champion.reference if champion else None,
        sizes=contests.sizes(execution, champion),
        told=told,
    )


def skip(active: ActiveRun, *, model: str, why: str) -> None:
    """Record that the gate was left out, and why."""
    _record(
        active,
        Verdict(
            id=records.new_id("verdict"),
            run_id=active.run.id,
            model=model,
            champion=None,
            outcome=Outcome.SKIPPED,
            reason=why or "no reason was given",
            created_at=records.now(),
        ),
    )


def _record(active: ActiveRun, verdict: Verdict) -> None:
    with change(active.store, actor=active.actor, why=verdict.reason) as opened:
        gates.add_verdict(opened, verdict)


def _check_metric(active: ActiveRun, gate: Gate, metrics: dict[str, float], *, source: str) -> None:
    if gate.metric not in metrics:
        known = ", ".join(metrics) or "none"
        manifest = active.project / "wright.toml"
        raise MetricMissing(metric=gate.metric, source=source, known=known, manifest=manifest)
