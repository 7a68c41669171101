"""How long `import modelwright` and `wright --help` take, against a Python that does nothing.

Run by `python benchmarks/startup.py [ROUNDS]`. The commands take turns, so that whatever else the machine does hits
all of them alike; printed are medians and, round by round, the ratio to the bare Python of the same round.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 40
PYTHON = sys.executable
COMMANDS = {
    "`python -c pass`": [PYTHON, "-c", "pass"],
    "`import modelwright`": [PYTHON, "-c", "import modelwright"],
    "`wright --help`": [str(Path(PYTHON).with_name("wright")), "--help"],
    "`wright --version`": [str(Path(PYTHON).with_name("wright")), "--version"],
}
# With it set no compiled modules are kept, and every start would compile all of ours anew.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def seconds(command: list[str]) -> float:
    """Run the command once and return how long it took, in seconds."""
    begun = time.perf_counter()
    subprocess.run(command, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own commands
    return time.perf_counter() - begun


def main() -> None:
    """Measure and print a Markdown table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    for command in COMMANDS.values():
        seconds(command)
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            taken[name].append(seconds(command))
    bare = taken["`python -c pass`"]
    print("| command | median, ms | times bare Python |")
    print("|---|---:|---:|")
    for name, values in taken.items():
        ratio = statistics.median(value / base for value, base in zip(values, bare, strict=True))
        print(f"| {name} | {1000 * statistics.median(values):.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
