"""The steps of a pipeline that lead from the model to its metrics: what is executed again for another model."""

from dataclasses import dataclass

from modelwright.errors import ProjectInvalid
from modelwright.runs.pipelines import Pipeline
from modelwright.runs.states import StepState


@dataclass(frozen=True)
class Chain:
    """The steps in their order, the value that is the model and the one that is its metrics."""

    steps: tuple[StepState, ...]
    maker: StepState
    model: str
    metrics: str

    def inputs(self) -> dict[str, tuple[str, StepState]]:
        """Return the values that other steps made, the model aside: by label, the name and the step."""
        return {
            self.label(name, maker): (name, maker)
            for step in self.steps
            for name, maker in step.makers.items()
            if maker not in self.steps and (name, maker) != (self.model, self.maker)
        }

    def sources(self) -> list[tuple[str, StepState]]:
        """Return every value that was made on the way to the inputs."""
        makers = {each: None for _, maker in self.inputs().values() for each in _upstream(maker)}
        return [(name, maker) for maker in makers for name in maker.step.outputs]

    def label(self, name: str, maker: StepState) -> str:
        """Return what tells this value from others of the same name."""
        makers = {each for step in self.steps for name_, each in (*step.makers.items(), *_own(step)) if name_ == name}
        return name if len(makers) == 1 else f"{name} of {maker.step.name}"


def chain(pipeline: Pipeline, states: tuple[StepState, ...]) -> Chain:
    """Return the steps between model and metrics. Raises ProjectInvalid when there are none to be executed again."""
    model, metrics = (pipeline.results.get(name, "") for name in ("model", "metrics"))
    maker, last = (_last_maker(states, name) for name in (model, metrics))
    if maker is None or last is None:
        raise _invalid(pipeline, 'it ends with: return {"model": model, "metrics": metrics}')
    if maker is last:
        reason = f'step "{last.step.name}" makes the model and its metrics, so no other model can be measured: split it'
        raise _invalid(pipeline, reason)
    needed = _upstream(last)
    steps = tuple(each for each in states if each in needed and maker in _upstream(each) and each is not maker)
    if not steps:
        raise _invalid(pipeline, 'the steps that give "metrics" must take the "model", directly or by way of others')
    if len({each.step.options.environment for each in steps}) > 1:
        names = ", ".join(f'"{each.step.name}"' for each in steps)
        raise _invalid(pipeline, f"the steps {names}, which measure the model, must run in the same environment")
    return Chain(steps, maker, model, metrics)


def _own(state: StepState) -> list[tuple[str, StepState]]:
    return [(name, state) for name in state.step.outputs]


def _last_maker(states: tuple[StepState, ...], name: str) -> StepState | None:
    return next((each for each in reversed(states) if name in each.step.outputs), None)


def _upstream(state: StepState) -> list[StepState]:
    """Return a step and all steps that it takes values of, however indirectly."""
    found = [state]
    for each in found:
        found += [maker for maker in each.makers.values() if maker not in found]
    return found


def _invalid(pipeline: Pipeline, reason: str) -> ProjectInvalid:
    return ProjectInvalid(path=pipeline.file, reason=reason)
