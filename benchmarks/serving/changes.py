"""Changes an endpoint in every way while requests come, and counts those that failed; then changes traffic a lot.

    python benchmarks/serving/changes.py [--traffic-changes 1000] [--times 5] [--connections 16] [--ground FOLDER]

Each request must be answered, rightly, by a version that had traffic. Between two changes of traffic the counts of
requests must lie inside the 99 % binomial interval of what was asked for, in as many intervals as that says.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from clients import Client, Outcome, Record
from dialects import right
from ground import Ground, default_folder
from judging import Epoch, judge_epochs
from staging import FIRST, FIRST_ELSEWHERE, MAIN, SECOND, Stage

_SETTLE_SECONDS = 0.5
_SHARES = (10.0, 50.0, 1.0, 90.0, 25.0, 75.0)


@dataclass
class Load:
    """Clients that send the next request when they have the answer, until they are told to stop."""

    stage: Stage
    connections: int
    record: Record = field(default_factory=Record)
    is_over: bool = False

    async def run(self) -> None:
        """Ask until it is over."""
        await asyncio.gather(*(self._ask(number) for number in range(self.connections)))

    async def _ask(self, number: int) -> None:
        client, asked = Client(f"c{number}", lambda: self.stage.place, self.record), right(self.stage.material)["row"]
        while not self.is_over:
            await client.ask("row", asked)
        client.line.hang_up()


async def under_load(load: Load, act: Callable[[], None]) -> tuple[list[Outcome], float]:
    """Do something in another thread while requests come; return those that were under way, and how long it took."""
    known = len(load.record.outcomes)
    await asyncio.sleep(_SETTLE_SECONDS)
    began = time.time()
    await asyncio.to_thread(act)
    took = time.time() - began
    await asyncio.sleep(_SETTLE_SECONDS)
    return load.record.outcomes[known:], took


async def measure(stage: Stage, load: Load, *, times: int, traffic_changes: int) -> bool:
    """Make all changes and print what came of them; return whether no request failed and the splits are right."""
    is_right = True
    acts: dict[str, Callable[[int], Callable[[], None]]] = {
        "update to another version": lambda n: lambda: stage.update(MAIN, FIRST if n % 2 else SECOND),
        "restart": lambda _: lambda: stage.restart(MAIN),
        "scale to 3 workers, to 1": lambda n: lambda: stage.scale(MAIN, 1 if n % 2 else 3),
        "another environment": lambda n: lambda: stage.update(MAIN, FIRST if n % 2 else FIRST_ELSEWHERE),
    }
    print(f"{'change':28} {'times':>6} {'requests':>9} {'failed':>7} {'seconds each':>13} {'p99 ms':>8}", flush=True)
    for name, prepare in acts.items():
        outcomes, seconds = [], 0.0
        for number in range(times):
            found, took = await under_load(load, prepare(number))
            outcomes += found
            seconds += took
        is_right &= _tell(name, times, outcomes, seconds / times)
    began, known = time.time(), len(load.record.outcomes)
    epochs = [await _epoch(stage, load, _SHARES[number % len(_SHARES)]) for number in range(traffic_changes)]
    outcomes = load.record.outcomes[known:]
    is_right &= _tell("traffic", traffic_changes, outcomes, (time.time() - began) / max(1, traffic_changes))
    verdict = judge_epochs(epochs)
    print(
        f"split: {verdict['requests']:,} requests in {verdict['epochs']:,} epochs; {verdict['outside']} outside their "
        f"99 % interval; all together {verdict['z']:+} standard deviations"
    )
    return is_right and bool(verdict["is_right"])


async def _epoch(stage: Stage, load: Load, share: float) -> Epoch:
    """Change the traffic and return what became of requests sent after the change and answered before the next."""
    await asyncio.to_thread(stage.share_out, share)
    since, known = time.time(), len(load.record.outcomes)
    await asyncio.sleep(0.1)
    until = time.time()
    counts = Counter(
        each.version for each in load.record.outcomes[known:] if since < each.sent_at and each.ended_at < until
    )
    return Epoch(stage.split(), counts)


def _tell(name: str, times: int, outcomes: list[Outcome], seconds: float) -> bool:
    failures = Counter(each.failure for each in outcomes if each.failure)
    waits = sorted(each.ended_at - each.sent_at for each in outcomes)
    p99 = waits[int(0.99 * (len(waits) - 1))] * 1000 if waits else 0.0
    print(
        f"{name:28} {times:6} {len(outcomes):9,} {failures.total():7} {seconds:13.2f} {p99:8.1f}",
        *(f"  {count} times {reason}" for reason, count in failures.most_common(5)),
        sep="\n" if failures else "",
        flush=True,
    )
    return not failures


async def run(options: argparse.Namespace) -> bool:
    """Set the stage, make the changes, and end it."""
    ground = Ground(options.ground.absolute())
    stage = Stage(ground, ground.scratch("changes"))
    try:
        stage.start()
        load = Load(stage, options.connections)
        running = asyncio.create_task(load.run())
        is_right = await measure(stage, load, times=options.times, traffic_changes=options.traffic_changes)
        load.is_over = True
        await running
    finally:
        stage.stop()
    print("no request failed, and traffic was as asked for" if is_right else "FAILED")
    return is_right


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--traffic-changes", type=int, default=1000, help="how often traffic is changed")
    parser.add_argument("--times", type=int, default=5, help="how often each other change is made")
    parser.add_argument("--connections", type=int, default=16, help="how many clients ask")
    parser.add_argument("--ground", type=Path, default=default_folder(), help="where environments and models are kept")
    sys.exit(not asyncio.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
