"""A guest: runs a project's report in a fresh process, and notes which of its plots raise. Standard library only.

Runs in the user's own Python, from 3.9 on; what it sees it writes to a file that the host reads.
"""

import contextlib
import functools
import importlib
import io
import json
import sys
from pathlib import Path
from typing import Any


def draw(request: Any) -> Any:
    """Run the report as `request` says; return the files that it printed and wrote, and what its plots raised."""
    sys.path[0] = request["source"]
    report = importlib.import_module(request["report"])
    # Functions that the user has renamed since are not asked for.
    plots = [each for each in request["plots"] if hasattr(report, each)]
    failures = _passed_over(report, plots)
    sys.argv = ["report.py", "--output-folder", request["output_folder"]]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        report.main()
    files = [Path(line) for line in printed.getvalue().splitlines() if line.endswith(".png")]
    pictures = [each.name for each in files if each.is_file() and each.stat().st_size]
    return {"plots": plots, "pictures": pictures, "failures": failures}


def _passed_over(report: Any, names: Any) -> Any:
    """Let a report go on after plots that raise; return where these are noted."""
    failures: Any = {}

    def trying(name: str, function: Any) -> Any:
        @functools.wraps(function)
        def called(*given: Any, **named: Any) -> None:
            try:
                function(*given, **named)
            except Exception as error:  # noqa: BLE001 - whatever it raises, the others are drawn
                failures[name] = type(error).__name__ + ": " + str(error)

        return called

    for name in names:
        setattr(report, name, trying(name, getattr(report, name)))
    return failures


def main() -> None:
    """Run the report named in the request file; write what was seen to the answer file."""
    request_file, answer_file = Path(sys.argv[1]), Path(sys.argv[2])
    seen = draw(json.loads(request_file.read_text(encoding="utf-8")))
    answer_file.write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    main()
