"""What the next trial of a sweep tries. Pure: from the sweep's seed, the trial's number and the finished trials.

So a sweep that was interrupted goes on with the very trials that it would have made.
"""

import math
import random
import warnings
from collections.abc import Mapping, Sequence

from modelwright.errors import SweepsNotInstalled
from modelwright.lifecycle.spaces import Space
from modelwright.records import Goal, Sampler, Trial


def count_of_grid(spaces: Mapping[str, Space]) -> int:
    """Return how many trials a grid has. Raises SpaceInvalid."""
    return math.prod(len(space.values()) for space in spaces.values())


def check_sampler(sampler: Sampler) -> None:
    """Find out whether the sampler can be used here. Raises SweepsNotInstalled."""
    if sampler is Sampler.BAYESIAN:
        try:
            import optuna  # noqa: F401 - only whether it is there
        except ImportError as error:
            raise SweepsNotInstalled(sampler=sampler) from error


def propose(
    spaces: Mapping[str, Space],
    number: int,
    *,
    sampler: Sampler,
    seed: int,
    goal: Goal,
    finished: Sequence[Trial],
) -> dict[str, object]:
    """Return the parameters of trial `number`, counted from 0. Only a Bayesian sampler looks at `finished`."""
    if sampler is Sampler.GRID:
        return _of_grid(spaces, number)
    chance = random.Random(f"{seed}:{number}")  # noqa: S311 - no secret
    if sampler is Sampler.RANDOM:
        return {name: space.at(chance.random()) for name, space in spaces.items()}
    return _bayesian(spaces, seed=chance.getrandbits(32), goal=goal, finished=finished)


def _of_grid(spaces: Mapping[str, Space], number: int) -> dict[str, object]:
    """Return the combination of that number; the last parameter changes first."""
    found = {}
    for name in reversed([*spaces]):
        values = spaces[name].values()
        number, index = divmod(number, len(values))
        found[name] = values[index]
    return {name: found[name] for name in spaces}


def _bayesian(spaces: Mapping[str, Space], *, seed: int, goal: Goal, finished: Sequence[Trial]) -> dict[str, object]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.CategoricalDistribution(range(len(space.arguments)))
        if space.kind == "choice"
        else optuna.distributions.FloatDistribution(0, 1)
        for name, space in spaces.items()
    }

    def told(name: str, value: object) -> float | int:
        space = spaces[name]
        return space.arguments.index(value) if space.kind == "choice" else space.unit_of(value)

    def meant(name: str, raw: float) -> object:
        space = spaces[name]
        return space.arguments[int(raw)] if space.kind == "choice" else space.at(raw)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            direction="minimize" if goal is Goal.MINIMIZE else "maximize", sampler=optuna.samplers.TPESampler(seed=seed)
        )
        for each in sorted(finished, key=lambda trial: trial.number):
            if each.has_value:
                params = {name: told(name, each.parameters[name]) for name in spaces}
                study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=each.value))
        asked = study.ask(distributions)
    return {name: meant(name, asked.params[name]) for name in spaces}
