"""Convert every notebook of the corpus with the installed command and judge what comes out.

    python benchmarks/conversion/run.py --corpus INDEX.json [--only SLUG ...] [--jobs 2] [--mutants 12] [--again]

Results are kept one file a notebook in the --out folder: a run that was stopped goes on where it was, `--again` does
all of them anew, `--only` those that it names. `--report` prints the table of what is there without running anything.
"""

import argparse
import fcntl
import json
import shutil
import signal
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import corpus
import judge
import observing
import processes
import report
from corpus import Entry

CONVERT_SECONDS = 600.0
_WRIGHT = Path(sys.executable).with_name("wright")


def convert(entry: Entry, work: Path, *, most_seconds: float) -> tuple[processes.Done, dict[str, Any] | None, Path]:
    """Run `wright convert` on a copy of the notebook's folder; return how it ended, its JSON and the project."""
    source, project = work / "source" / entry.slug, work / "project"
    workspace = work.parent / ".wright"  # of all: environments are built once
    for each in (work / "source", project):
        shutil.rmtree(each, ignore_errors=True)
    observing.copy_folder(entry.folder, source)
    notebook = source / entry.notebook.relative_to(entry.folder)
    options: list[str | Path] = ["--into", project, "--python", entry.python, "--json"]
    command: list[str | Path] = [_WRIGHT, "--workspace", workspace, "convert", notebook, *options]
    done = processes.run(command, folder=work, timeout_seconds=most_seconds, is_steady=False)
    return done, _json(done.stdout) or _json(done.stderr), project


def _json(text: str) -> dict[str, Any] | None:
    begin = text.find("{")
    try:
        found = json.loads(text[begin:]) if begin >= 0 else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def examine(entry: Entry, workspace: Path, *, mutant_count: int, most_seconds: float) -> dict[str, Any]:
    """Convert and judge one notebook; whatever happens is a result."""
    work = workspace / entry.slug
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run of the harness may be at the same notebook
        return _examine(entry, work, mutant_count=mutant_count, most_seconds=most_seconds)


def _examine(entry: Entry, work: Path, *, mutant_count: int, most_seconds: float) -> dict[str, Any]:
    done, answer, project = convert(entry, work, most_seconds=most_seconds)
    result: dict[str, Any] = {
        "slug": entry.slug,
        "at": time.strftime("%Y-%m-%d %H:%M:%S"),
        "exit_code": done.code,
        "convert_seconds": done.seconds,
        "conversion": answer,
        "stderr": done.stderr[-4000:],
    }
    is_traceback = "Traceback (most recent call last)" in done.stderr and not (answer or {}).get("error")
    if is_traceback or not project.exists() or not answer or "removals" not in answer:
        return {**result, **judge.refusal(done, answer)}
    try:
        return {**result, **judge.judge(entry, project, answer, work=work, mutant_count=mutant_count)}
    except Exception as error:  # noqa: BLE001 - one notebook that the judge stumbles over must not stop the others
        trace = traceback.format_exc()
        return {**result, "verdict": "judge failed", "cause": f"{type(error).__name__}: {error}", "trace": trace}


def line(result: dict[str, Any]) -> str:
    """Return the one line that says how a notebook went."""
    mutants = result.get("mutants") or {}
    killed = f" mutants {mutants['killed']}/{mutants['tried']}" if mutants.get("tried") else ""
    cause = " ".join(str(result.get("cause", "")).split())[:150]
    return f"{result['verdict']:<22} {result['slug']:<48} {result['convert_seconds']:>6.1f} s{killed}  {cause}"


def main() -> None:
    """Run what is asked for, then print and write the report."""
    arguments = _arguments()
    workspace, out = arguments.workspace.absolute(), arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    entries = corpus.read(corpus.index_path(arguments.corpus), arguments.only)
    if not arguments.report:
        waiting = [
            each for each in entries if arguments.again or arguments.only or not (out / f"{each.slug}.json").exists()
        ]
        print(f"{len(waiting)} of {len(entries)} notebooks to convert; results in {out}", flush=True)
        options = {"mutant_count": arguments.mutants, "most_seconds": arguments.most_seconds}
        _run_all(waiting, workspace, out, jobs=arguments.jobs, options=options)
    results = report.read(out, [each.slug for each in entries])
    print("\n" + report.render(results))


def _run_all(entries: list[Entry], workspace: Path, out: Path, *, jobs: int, options: dict[str, Any]) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    pool = ThreadPoolExecutor(jobs)
    try:
        running = [pool.submit(examine, each, workspace, **options) for each in entries]
        for number, each in enumerate(as_completed(running), 1):
            result = each.result()
            (out / f"{result['slug']}.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
            print(f"{number:>3}/{len(entries)} {line(result)}", flush=True)
            if result["verdict"] == "false-proven":
                print("!!! FALSE PROOF", *result["agreement"]["evidence"], sep="\n!!! ", flush=True)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        processes.end_all()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    work = Path("/tmp") / "wright-conversion"  # noqa: S108 - a scratch folder outside of the repository
    parser.add_argument("--corpus", help="index.json of the corpus; else the variable MODELWRIGHT_CORPUS")
    parser.add_argument("--only", nargs="+", metavar="SLUG", help="notebooks whose slug contains one of these")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--workspace", type=Path, default=work / "work", help="where notebooks and projects run")
    parser.add_argument("--out", type=Path, default=work / "results", help="the folder of results")
    parser.add_argument("--again", action="store_true", help="run also what has a result")
    parser.add_argument(
        "--mutants", type=int, default=12, help="how many mutants of each; 0: no planted defects either"
    )
    parser.add_argument(
        "--most-seconds",
        type=float,
        default=CONVERT_SECONDS,
        help="how long a conversion may take; more than 600 is a timeout by the README",
    )
    parser.add_argument("--report", action="store_true", help="only print the table of the results that are there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
