"""Measures our server beside its peers and the floors, and writes the table to results.md.

    python benchmarks/serving/compare.py [--quick] [--only NAME ...] [--models m1 ...] [--ground FOLDER] [--again]

One load generator on its own core, all servers on the other, taking turns cell by cell, so that a ratio is of the same
minute. What was measured is kept in the ground folder: a run that was stopped goes on, `--again` forgets it all, or
with --only what was measured of those. `--report` writes the table from what is there.
"""

import argparse
import json
import os
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import measuring
import others
import ours
import results
from ground import MODELS, Ground, default_folder
from measuring import CELLS, CROWD, Cell
from servers import Running, Server, Unfit

_RESTLESS = 0.02  # of a core, with nothing to do: it is made to stand still while others are measured
_FAILURES = (Unfit, RuntimeError, OSError)
_EQUAL_SHARE = 0.5
_EQUAL_CONNECTIONS = 16
SERVERS = (*ours.OURS, *others.PEERS, *others.FLOOR_SERVERS)


@dataclass(frozen=True)
class Plan:
    """How much is measured of a model: rounds of cells of so many seconds, and starts of each server alone."""

    rounds: int
    seconds: float
    starts: int


QUICK = {"m1": Plan(rounds=2, seconds=0.7, starts=0)}
FULL = {
    "m1": Plan(rounds=3, seconds=2.0, starts=2),
    "m2": Plan(rounds=2, seconds=1.0, starts=1),
    "m3": Plan(rounds=2, seconds=1.0, starts=1),
}


@dataclass
class Records:
    """Everything that was measured, one line of JSON each."""

    path: Path
    known: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read what an earlier run wrote."""
        if self.path.exists():
            self.known = [json.loads(line) for line in self.path.read_text().splitlines()]

    def has(self, **facts: Any) -> bool:
        """Return whether there is one with these facts."""
        return any(facts.items() <= each.items() for each in self.known)

    def add(self, **facts: Any) -> None:
        """Keep one."""
        record = {"at": time.strftime("%Y-%m-%d %H:%M:%S"), **facts}
        self.known.append(record)
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def forget(self, names: Sequence[str]) -> None:
        """Drop what was measured of these servers, or of all."""
        self.known = [each for each in self.known if names and each.get("server") not in names]
        self.path.write_text("".join(json.dumps(each) + "\n" for each in self.known))


@dataclass
class Bench:
    """One run."""

    ground: Ground
    records: Records

    def measure(self, model: str, servers: Sequence[Server], plan: Plan) -> None:
        """Measure every server with one model."""
        for number in range(plan.starts):
            for server in servers:
                if not self.records.has(kind="start", server=server.name, model=model, number=number):
                    with suppress(*_FAILURES), self._running(server, model, number=number):
                        pass
        missing = [each for each in servers if self._misses(each, model, plan)]
        with ExitStack() as held:
            running = {}
            for server in missing:
                try:
                    running[server] = held.enter_context(self._running(server, model))
                except _FAILURES as error:
                    say(f"{server.name} is left out: {error}")
                    self.records.add(kind="failure", server=server.name, model=model, reason=str(error)[:500])
            for number in range(plan.rounds):
                for cell in (*CELLS, CROWD):
                    for server, started in running.items():
                        if cell not in _cells(server, model):
                            continue
                        self._cell(server, started, model=model, cell=cell, number=number, seconds=plan.seconds)
            self._equal_load(running, model, plan)

    def _misses(self, server: Server, model: str, plan: Plan) -> bool:
        facts = {"kind": "cell", "server": server.name, "model": model}
        cells = [
            self.records.has(**facts, cell=each.name, round=n)
            for each in _cells(server, model)
            for n in range(plan.rounds)
        ]
        return not all(cells)

    @contextmanager
    def _running(self, server: Server, model: str, *, number: int | None = None) -> Iterator[Running]:
        """Let a server run, and keep what its start took; `number` counts those that were alone."""
        if server.environment is not None:
            folder = server.environment(self.ground)
            if not self.records.has(kind="installed", server=server.name):
                self.records.add(kind="installed", server=server.name, **measuring.installed(folder))
        running, told = measuring.start(self.ground, server, model=model)
        try:
            self.records.add(kind="start", server=server.name, model=model, number=number, **told)
            took = f" in {told['wall_s']:.1f} s" if told["wall_s"] else ""
            say(f"{server.name:12} {model} started{took}, {told['pss_mb']:.0f} MB")
            if told["rest"] > _RESTLESS:
                running.freeze()
                running.is_restless = True
            yield running
        finally:
            running.thaw()
            running.stop()

    def _cell(self, server: Server, running: Running, *, cell: Cell, number: int, model: str, seconds: float) -> None:
        facts = {"kind": "cell", "server": server.name, "model": model, "cell": cell.name, "round": number}
        if self.records.has(**facts):
            return
        try:
            told = self._load(server, running, model=model, cell=cell, seconds=seconds)
        except (Unfit, OSError) as error:
            say(f"{server.name:12} {cell.name}: {error}")
            return
        self.records.add(**facts, **told)
        wrong = f" {told['errors']}" if told["errors"] else ""
        say(
            f"{server.name:12} {model} {cell.name:7} round {number + 1}: {told['rps']:9,.0f} a second, "
            f"{told['cpu_us'] or 0:7.1f} us of CPU, p99 {told['p99_us'] / 1000:.2f} ms{wrong}"
        )

    def _load(self, server: Server, running: Running, *, model: str, cell: Cell, seconds: float) -> dict[str, Any]:
        if running.is_restless:
            running.thaw()
            time.sleep(0.5)
        try:
            return measuring.load(self.ground, server, running, model=model, cell=cell, seconds=seconds)
        finally:
            if running.is_restless:
                running.freeze()

    def _equal_load(self, running: dict[Server, Running], model: str, plan: Plan) -> None:
        """Give ours and each peer the same requests a second, half of what it can take, and keep the latencies."""
        mine = [each for each in running if each.name in results.MAIN]
        for peer in [each for each in running if each in others.PEERS]:
            rates = [
                each["rps"]
                for each in self.records.known
                if {"kind": "cell", "server": peer.name, "model": model, "cell": "c16"}.items() <= each.items()
            ]
            if not rates:
                continue
            rate = round(statistics.median(rates) * _EQUAL_SHARE, 1)
            cell = Cell(_EQUAL_CONNECTIONS, rate=rate)
            for number in range(max(1, plan.rounds // 2)):
                for server in (peer, *mine):
                    facts = {"kind": "equal", "server": server.name, "peer": peer.name, "model": model, "round": number}
                    if not self.records.has(**facts):
                        told = self._load(server, running[server], model=model, cell=cell, seconds=plan.seconds)
                        self.records.add(**facts, rate=rate, **told)
                        say(f"{server.name:12} at {rate:,.0f} a second: p99 {told['p99_us'] / 1000:.2f} ms")

    def floors(self, models: Sequence[str]) -> None:
        """Measure what the models cost without a server."""
        python = others.environment("fastapi", self.ground) / "bin/python"
        for model in models:
            if not self.records.has(kind="bare", model=model):
                told = measuring.bare(python, self.ground.model(model))
                self.records.add(kind="bare", server="bare", model=model, **told)


def _cells(server: Server, model: str) -> tuple[Cell, ...]:
    return (*CELLS, CROWD) if server.is_ours and model == "m1" else CELLS


def say(text: str) -> None:
    """Print progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one model, two rounds of short cells: five minutes")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="only these servers")
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS), help="only these models")
    parser.add_argument("--ground", type=Path, default=default_folder(), help="where environments and results are kept")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.md"), help="where the table goes")
    parser.add_argument("--again", action="store_true", help="forget what was measured before")
    parser.add_argument("--report", action="store_true", help="write the table from what was measured before")
    parser.add_argument("--rounds", type=int, help="other than planned")
    parser.add_argument("--seconds", type=float, help="of a cell, other than planned")
    options = parser.parse_args()
    ground = Ground(options.ground.absolute())
    ground.folder.mkdir(parents=True, exist_ok=True)
    records = Records(ground.folder / ("quick.jsonl" if options.quick else "full.jsonl"))
    if options.again:
        records.forget(options.only)
        for each in ("workspace", "modelwright"):  # what the code of then registered, and that code
            shutil.rmtree(ground.folder / each, ignore_errors=True)
    if not options.report:
        bench = Bench(ground, records)
        given = {name: getattr(options, name) for name in ("rounds", "seconds") if getattr(options, name)}
        plans = {
            name: replace(plan, **given)
            for name, plan in (QUICK if options.quick else FULL).items()
            if name in options.models
        }
        records.add(kind="machine", load=os.getloadavg()[0])
        bench.floors(list(plans))
        for model, plan in plans.items():
            chosen = [each for each in SERVERS if model in each.models and each.name in (options.only or [each.name])]
            bench.measure(model, chosen, plan)
    text = results.render(records.known, {each.name: each for each in SERVERS})
    options.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
