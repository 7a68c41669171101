"""Has a new model and the champion measured side by side, by a guest in the run's own environment."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelwright.models import packages
from modelwright.models.gate import chains
from modelwright.models.gate.chains import Chain
from modelwright.records import GateRules, Goal, ModelVersion
from modelwright.runs.execution import Execution
from modelwright.runs.pipelines import Argument
from modelwright.runs.states import OUTPUT_FOLDER, StepState

_GUEST = Path(__file__).with_name("judging.py")
_PICKLES = frozenset({".joblib", ".pickle", ".pkl", ".sav"})
DEFAULT_LEVEL = 0.95


@dataclass(frozen=True)
class Gate:
    """Which metric decides, which direction of it is better, and what else is asked for."""

    metric: str
    goal: Goal
    rules: GateRules = field(default_factory=GateRules)

    @property
    def level(self) -> float:
        """The share of improvements that their intervals are to hold."""
        return self.rules.confidence or DEFAULT_LEVEL

    @property
    def asks_of_every_model(self) -> bool:
        """Whether something is measured that needs no champion to compare with."""
        return bool(self.rules.check or self.rules.slices) or self.rules.max_latency_ms is not None


def sizes(execution: Execution, champion: ModelVersion | None) -> dict[str, int]:
    """Return the size of the files of both models in bytes."""
    written = (each for each in execution.active.outputs.rglob("*") if each.is_file())
    found = {"candidate": sum(each.stat().st_size for each in written)}
    if champion:
        models = (each for each in champion.files if each.path.startswith(f"{packages.MODEL_FOLDER}/"))
        found["champion"] = sum(each.size_bytes for each in models)
    return found


def measure(execution: Execution, gate: Gate, *, champion: ModelVersion | None, model: str) -> dict[str, Any]:
    """Return what the guest saw: see `judging.py`.

    Raises ProjectInvalid when the pipeline cannot measure another model, StepFailed when the project's own code fails,
    RunCancelled.
    """
    active = execution.active
    chain = chains.chain(execution.pipeline, execution.states)
    name = f"gate against {champion.reference}" if champion else "gate of the first model"
    report = execution.folder(name) / "report.json"
    plan = {
        "name": model,
        "metric": gate.metric,
        "goal": str(gate.goal),
        "level": gate.level,
        "slices": list(gate.rules.slices),
        "is_timed": gate.rules.max_latency_ms is not None,
        "check": gate.rules.check,
        "seed": active.run.seed or 0,
        "model": chain.label(chain.model, chain.maker),
        "steps": [_step(execution, chain, each) for each in chain.steps],
        "sources": [str(active.store.blobs.path(maker.outputs[name])) for name, maker in chain.sources()],
        "champion": _files(execution, champion) if champion else [],
        "sizes": sizes(execution, champion),
        "references": {"candidate": active.run.id, "champion": champion.reference if champion else None},
        "report": str(report),
    }
    blobs = active.store.blobs
    execution.attend(
        _GUEST,
        "judge",
        name=name,
        arguments=[
            {"keyword": None, "path": None, "value": plan},
            {"keyword": None, "path": str(blobs.path(chain.maker.outputs[chain.model])), "value": None},
            *(
                {"keyword": label, "path": str(blobs.path(maker.outputs[name])), "value": None}
                for label, (name, maker) in chain.inputs().items()
            ),
        ],
        like=chain.steps[0],
    )
    told: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return told


def _step(execution: Execution, chain: Chain, state: StepState) -> dict[str, object]:
    """Return a step as the guest calls it."""
    # What an evaluation writes beside its metrics would take the place of what it wrote for the new model.
    scratch = execution.active.folder / "steps" / "gate-outputs"
    scratch.mkdir(parents=True, exist_ok=True)
    parameters = execution.active.run.parameters | {OUTPUT_FOLDER: str(scratch)}

    def described(argument: Argument) -> dict[str, object]:
        maker = state.makers.get(argument.name or "")
        if argument.name is not None and maker is not None:
            return {"keyword": argument.keyword, "name": chain.label(argument.name, maker), "value": None}
        value = parameters[argument.name] if argument.name else argument.value
        return {"keyword": argument.keyword, "name": None, "value": value}

    return {
        "module": state.step.module,
        "function": state.step.function,
        "arguments": [described(each) for each in state.step.arguments],
        "outputs": [chain.label(each, state) for each in state.step.outputs],
        "is_unpacked": state.step.is_unpacked,
        "metrics": chain.label(chain.metrics, state) if chain.metrics in state.step.outputs else None,
    }


def _files(execution: Execution, champion: ModelVersion) -> list[str]:
    """Return the champion's files, those first that are pickles by their names."""
    folder = packages.restore(execution.active.store, champion) / packages.MODEL_FOLDER
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    return [str(each) for each in sorted(files, key=lambda each: each.suffix not in _PICKLES)]
