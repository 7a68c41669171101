"""Where each step of an execution stands, what it waits for, and what is told of it."""

import os
from dataclasses import dataclass, field
from typing import Any

from modelwright.records import Status
from modelwright.runs.pipelines import Pipeline, Step
from modelwright.runs.reuse import Evidence

OUTPUT_FOLDER = "output_folder"


@dataclass(frozen=True)
class Rules:
    """How to execute: `is_fresh` reuses nothing, `is_thorough` lets other branches finish when a step fails.

    `threads` is how many the libraries of a step may use; None leaves it to them.
    """

    is_fresh: bool = False
    is_thorough: bool = False
    threads: int | None = None
    cpus: int = field(default_factory=lambda: os.cpu_count() or 1)


@dataclass(eq=False)
class StepState:
    """Where one step stands."""

    step: Step
    position: int
    key: str = ""
    status: Status = Status.QUEUED
    begun_at: float = 0.0
    begun: Any = None
    attempts: int = 0
    not_before: float = 0.0
    drew_from: str | None = None
    evidence: Evidence = field(default_factory=Evidence)
    outputs: dict[str, str] = field(default_factory=dict)
    files_before: dict[str, tuple[int, ...]] = field(default_factory=dict)
    is_settled: bool = False
    makers: dict[str, "StepState"] = field(default_factory=dict)
    after: list["StepState"] = field(default_factory=list)
    is_late: bool = False
    is_overdue: bool = False
    cancels: str | None = None
    told: list[dict[str, Any]] = field(default_factory=list)

    @property
    def uses_outputs(self) -> bool:
        """Whether it is given the output folder, so that such steps go one after another."""
        return OUTPUT_FOLDER in self.step.inputs


@dataclass(frozen=True)
class Progress:
    """What became of a step: its status, why, how long it took, and whose outputs were reused."""

    step: str
    status: Status
    seconds: float = 0.0
    reused_from: str | None = None
    reason: str = ""


def planned(pipeline: Pipeline) -> list[StepState]:
    """Return the steps, each with the makers of its values; those that use the output folder come one after another."""
    states: list[StepState] = []
    makers: dict[str, StepState] = {}
    for position, step in enumerate(pipeline.steps, start=1):
        state = StepState(step, position, makers={name: makers[name] for name in step.inputs if name in makers})
        others = [each for each in states if each.uses_outputs] if state.uses_outputs else []
        state.after = [*state.makers.values(), *others]
        states.append(state)
        makers |= dict.fromkeys(step.outputs, state)
    return states
