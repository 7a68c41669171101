"""The whole corpus as Markdown tables, from the results that run.py and peers.py keep.

    python benchmarks/conversion/report.py [--out FOLDER] [--write FILE]

Without a corpus: every result in the folder is taken, in the order of the slugs.
"""

import argparse
import json
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Result = dict[str, Any]
# Those that no conversion can be blamed for.
_NOT_RUNNABLE = {"not runnable"}
_CAUSE_LENGTH = 110


def read(out: Path, slugs: Sequence[str] | None = None) -> list[Result]:
    """Return the results that are there, in the order of the slugs; without slugs all of them."""
    files = sorted(out.glob("*.json")) if slugs is None else [out / f"{each}.json" for each in slugs]
    return [json.loads(each.read_text(encoding="utf-8")) for each in files if each.exists()]


def render(results: Sequence[Result], peers: Sequence[Result] = ()) -> str:
    """Return totals, causes, the notebooks one by one, and the peers beside them, as Markdown."""
    parts = [_totals(results), _verdicts(results), _causes(results), _notebooks(results)]
    if peers:
        parts.insert(1, _side_by_side(results, peers))
    return "\n".join(parts)


# --- numbers ---


def _totals(results: Sequence[Result]) -> str:
    runnable = [each for each in results if each["verdict"] not in _NOT_RUNNABLE]
    projects = [each for each in runnable if "structure" in each]
    verified = [each for each in runnable if each["verdict"] == "verified"]
    truthful = [each for each in runnable if each["verdict"] in {"refused", "partial", "equal but tests weak"}]
    others = len(runnable) - len(verified)
    green = sum(bool(each["tests"]["is_green"]) for each in projects)
    medians = [each["structure"]["median_lines"] for each in projects if each["structure"]["functions"]]
    rows = [
        ("runnable notebooks", str(len(runnable)), ""),
        ("project yielded", _share(len(projects), len(runnable)), "95 %"),
        ("verified", _share(len(verified), len(runnable)), "85 %"),
        ("equal, whatever its tests", _share(sum(_is_equal(each) for each in runnable), len(runnable)), ""),
        ("the rest says truthfully why", _share(len(truthful), others), "100 %"),
        ("false proofs", str(sum(each["verdict"] == "false-proven" for each in runnable)), "0"),
        ("crashes and timeouts", str(sum(each["verdict"] in {"crash", "timeout"} for each in runnable)), "0"),
        ("generated tests green", _share(green, len(projects)), "100 %"),
        ("planted defects noticed", _planted(projects), "100 %"),
        ("mutants killed", _killed(projects), "80 %"),
        ("derived scoring proven, from raw rows", _scored(projects, without="scoring-"), "60 %"),
        ("derived scoring proven, in any form", _scored(projects, without="scoring-takes"), ""),
        ("lines of a function, median of medians", f"{statistics.median(medians):g}" if medians else "-", "25"),
        ("projects with `global`, but for `init` of score", str(sum(_globals(each) for each in projects)), "0"),
        ("hoisted parameters, median", _median(projects, lambda each: each["structure"]["parameters"]), ""),
        ("projects with findings of ruff or mypy", str(sum(_is_untidy(each) for each in projects)), "0"),
        ("seconds of a conversion, median", _median(runnable, lambda each: each["convert_seconds"]), ""),
    ]
    return _table(["measure", "here", "to reach"], rows, "lrr")


def _is_equal(result: Result) -> bool:
    return bool(result.get("agreement", {}).get("is_equal"))


def _planted(projects: Sequence[Result]) -> str:
    states = [
        state
        for each in projects
        for name, state in (each.get("planted") or {}).items()
        if state in {"red", "survived"} and not name.endswith("where")
    ]
    return _share(states.count("red"), len(states))


def _killed(projects: Sequence[Result]) -> str:
    scores = [each["mutants"] for each in projects if each.get("mutants")]
    killed = sum(each["killed"] for each in scores)
    return _share(killed, sum(each["tried"] - each["equivalent"] for each in scores))


def _scored(projects: Sequence[Result], *, without: str) -> str:
    """Return the share of equal answers, without a finding of such a code, among projects with a model to ask."""
    asked = [each for each in projects if _compared(each, "predictions")]
    proven = [
        each
        for each in asked
        if all(one["is_equal"] for one in _compared(each, "scores"))
        and _compared(each, "scores")
        and not any(one["code"].startswith(without) for one in each["conversion"]["findings"])
    ]
    return _share(len(proven), len(asked))


def _compared(result: Result, kind: str) -> list[dict[str, Any]]:
    proof = result["conversion"]["proof"] or {}
    return [each for each in proof.get("comparisons", ()) if each["kind"] == kind]


def _globals(result: Result) -> bool:
    return bool(result["structure"]["globals"])


def _is_untidy(result: Result) -> bool:
    return any(result["structure"][name] for name in ("ruff", "unused", "mypy"))


def _median(results: Sequence[Result], value: Callable[[Result], float]) -> str:
    return f"{statistics.median(value(each) for each in results):g}" if results else "-"


def _share(count: int, total: int) -> str:
    return f"{count} of {total} ({100 * count / total:.0f} %)" if total else "-"


# --- tables ---


def _verdicts(results: Sequence[Result]) -> str:
    counts = Counter(each["verdict"] for each in results)
    rows = [(name, str(count)) for name, count in counts.most_common()]
    return "\n## Verdicts\n\n" + _table(["verdict", "notebooks"], rows, "lr")


def _causes(results: Sequence[Result]) -> str:
    found: dict[tuple[str, str], list[str]] = {}
    for each in results:
        if each["verdict"] != "verified":
            found.setdefault((each["verdict"], _cause(each)), []).append(each["slug"][:3])
    ordered = sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    rows = [(*key, str(len(slugs)), " ".join(slugs)) for key, slugs in ordered]
    return "\n## Not verified, by cause\n\n" + _table(["verdict", "cause", "notebooks", "which"], rows, "llrl")


def _notebooks(results: Sequence[Result]) -> str:
    rows = []
    for each in results:
        agreement, built = each.get("agreement", {}), each.get("structure", {})
        mutants, tests = each.get("mutants") or {}, each.get("tests", {})
        rows.append(
            (
                each["slug"],
                each["verdict"],
                _of(agreement, "numbers"),
                _of(agreement, "fits"),
                _of(agreement, "files"),
                str(built.get("functions", "")),
                f"{built.get('median_lines', ''):g}" if built else "",
                ("green" if tests["is_green"] else "red") if tests else "",
                f"{mutants['killed']}/{mutants['tried'] - mutants['equivalent']}" if mutants.get("tried") else "",
                f"{each['convert_seconds']:.0f}",
            )
        )
    names = ["notebook", "verdict", "numbers", "fits", "files", "functions", "lines", "tests", "mutants", "seconds"]
    return "\n## Notebook by notebook\n\n" + _table(names, rows, "llrrrrrlrr")


def _of(agreement: dict[str, Any], name: str) -> str:
    if not agreement:
        return ""
    return f"{agreement[name] - agreement[f'{name}_missing']}/{agreement[name]}"


def _side_by_side(results: Sequence[Result], peers: Sequence[Result]) -> str:
    """Return one row a tool, over the notebooks that every tool was tried on."""
    tried = {each["slug"] for each in peers}
    ours = [each for each in results if each["slug"] in tried and each["verdict"] not in _NOT_RUNNABLE]
    yielded = [each for each in ours if "structure" in each]
    rows = [
        (
            "wright",
            str(len(ours)),
            str(len(yielded)),
            str(sum(each["runs"] for each in yielded)),
            str(sum(_is_equal(each) for each in yielded)),
            str(sum(_is_equal(each) for each in yielded)),
            str(sum(each["structure"]["functions"] for each in yielded)),
            str(sum(each["tests"]["passed"] for each in yielded)),
        )
    ]
    for tool in sorted({name for each in peers for name in each["tools"]}):
        found = [each["tools"][tool] for each in peers if tool in each["tools"]]
        rows.append(
            (
                tool,
                str(len(found)),
                *(
                    str(sum(bool(each.get(name)) for each in found))
                    for name in ("code", "runs", "prints", "reproduces")
                ),
                *(str(sum(each.get(name, 0) for each in found)) for name in ("new_functions", "tests")),
            )
        )
    names = ["tool", "notebooks", "code", "runs", "prints", "reproduces", "new functions", "tests"]
    note = (
        "\nPrints: every printed number and every fit; reproduces: what bare last expressions show as well; "
        "for `wright` but for lines that it lists as removed."
    )
    return "\n## Side by side\n\n" + _table(names, rows, "lrrrrrrr") + note + "\n"


def _cause(result: Result) -> str:
    text = " ".join(str(result.get("cause", "")).split()).replace("|", "\\|")
    return text[:_CAUSE_LENGTH]


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], alignment: str) -> str:
    marks = ["---:" if each == "r" else "---" for each in alignment]
    lines = [names, marks, *rows]
    return "\n".join("| " + " | ".join(each) + " |" for each in lines) + "\n"


def main() -> None:
    """Print the report, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    scratch = Path("/tmp") / "wright-conversion"  # noqa: S108 - where run.py and peers.py keep results
    parser.add_argument("--out", type=Path, default=scratch / "results", help="the folder of run.py's results")
    parser.add_argument("--peers", type=Path, default=scratch / "peers", help="the folder of peers.py's results")
    parser.add_argument("--write", type=Path, help="a file to write as well, such as benchmarks/conversion/results.md")
    arguments = parser.parse_args()
    text = "# Conversion, measured on the corpus\n\n" + render(read(arguments.out), read(arguments.peers))
    print(text)
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
