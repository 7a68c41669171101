"""A machine that does anything in any order in a workspace, is killed on the way, and looks for what dangles.

`python machine.py 100000` does so many operations and prints what it found; `make integrity` runs it.
"""

import contextlib
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from integrity.checking import dangling
from integrity.hatchery import Hatchery, Operation
from integrity.operations import DELETING, NAMES

from modelwright.store.database import open_store

_MOST = 60
_LONGEST_SECONDS = 0.02
_operations = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 1 << 20)), min_size=20, max_size=_MOST)
_deletions = st.lists(st.tuples(st.sampled_from(DELETING), st.integers(0, 1 << 20)), min_size=5, max_size=20)
_moments = st.integers(0, 1_000).map(lambda part: part / 1_000 * _LONGEST_SECONDS)


class Tally:
    """What was done in all examples."""

    def __init__(self) -> None:
        self.operations = 0
        self.kills = 0
        self.checks = 0
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.found: list[str] = []

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Note what goes wrong in the block: what Hypothesis says of it depends on whether it happens again."""
        try:
            yield
        except Exception:
            self.found.append(traceback.format_exc())
            raise

    def __str__(self) -> str:
        done = f"{self.operations:,} operations, {self.kills:,} kills, {len(self.found):,} dangling references"
        return f"{done} ({self.checks:,} checks)"


def machine(hatchery: Hatchery, template: Path, tally: Tally) -> type[RuleBasedStateMachine]:
    """Return the machine, whose children come from `hatchery` and whose workspaces are copies of `template`."""

    class Workspace(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.folder = Path(tempfile.mkdtemp(prefix="wright-integrity-", dir=template.parent))
            shutil.copytree(template, self.folder / ".wright")

        @rule(operations=_operations)
        def work(self, operations: list[Operation]) -> None:
            self._perform(operations)

        @rule(operations=_operations, count=st.integers(0, _MOST), moment=_moments)
        def work_and_be_killed(self, operations: list[Operation], count: int, moment: float) -> None:
            self._perform(operations, kill_after=(min(count, len(operations) - 1), moment))

        @rule(operations=_deletions, moment=_moments)
        def collect_garbage_and_be_killed(self, operations: list[Operation], moment: float) -> None:
            # With a number that lets the operation delete, and not only look.
            self._perform([*operations, ("collect_garbage", 1)], kill_after=(len(operations), moment))

        def teardown(self) -> None:
            try:
                self._perform([("recover", 0), ("collect_garbage", 1)])
                self._check()
            finally:
                shutil.rmtree(self.folder)

        def _perform(self, operations: list[Operation], *, kill_after: tuple[int, float] | None = None) -> None:
            with tally.noting():
                done, is_killed = hatchery.perform(self.folder / ".wright", operations, kill_after=kill_after)
            tally.operations += len(done) + is_killed
            tally.outcomes.update(zip((name for name, _ in operations), done, strict=False))
            if is_killed:
                tally.kills += 1
                self._check()

        def _check(self) -> None:
            tally.checks += 1
            with tally.noting(), contextlib.closing(open_store(self.folder / ".wright")) as store:
                assert list(dangling(store)) == []

    return Workspace


def follow(workspace: type[RuleBasedStateMachine], tally: Tally, *, examples: int, steps: int) -> None:
    """Begin anew `examples` times and follow `steps` rules each time. Raises AssertionError with what was found.

    What fails depends on the moment of a kill, so it is not made smaller: that would look for it for hours.
    """
    rules = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(workspace, settings=rules)
    except Exception as error:
        raise AssertionError("\n".join(tally.found[:1]) or str(error)) from error


@contextlib.contextmanager
def prepared(folder: Path) -> Iterator[tuple[type[RuleBasedStateMachine], Tally]]:
    """Give the machine, which works in this folder, and its tally."""
    open_store(folder / "template").close()
    hatchery, tally = Hatchery(), Tally()
    try:
        yield machine(hatchery, folder / "template", tally), tally
    finally:
        hatchery.close()


def main() -> None:
    wanted = int(sys.argv[1])
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wright-integrity-") as name, prepared(Path(name)) as (workspace, tally):
        while tally.operations < wanted:
            follow(workspace, tally, examples=5, steps=30)
            print(f"{time.monotonic() - begun:6.0f} s  {tally}", flush=True)
    by_outcome: Counter[str] = Counter()
    for (name, outcome), count in sorted(tally.outcomes.items()):
        by_outcome[outcome] += count
        print(f"{name:<20} {outcome:<20} {count:>8,}")
    print(", ".join(f"{outcome} {count:,}" for outcome, count in by_outcome.most_common()))
    print(tally)


if __name__ == "__main__":
    main()
