"""The rules of the house that a machine can check."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "modelwright"
MODULES = sorted(PACKAGE.rglob("*.py"))
TRACER = {
    PACKAGE / "notebooks" / f"{each}.py"
    for each in ("ambient", "drawing", "fingerprints", "library_values", "spelling", "tracing")
}
RECORDING = PACKAGE / "runs" / "recording.py"
JUDGES = {PACKAGE / "models" / "gate" / f"{each}.py" for each in ("chance", "judging", "origins", "rows", "standins")}
EXPLAINING = {
    PACKAGE / "models" / "explanation" / f"{each}.py"
    for each in (
        "attributing",
        "given_rows",
        "known_rows",
        "outputs",
        "raw_columns",
        "row_tables",
        "shapley",
        "shuffling",
    )
}
FUSING = {PACKAGE / "models" / "fusing" / f"{each}.py" for each in ("asking", "exporting")}
SERVING = {each for each in MODULES if each.parent == PACKAGE / "models" / "guest"}
KERNEL_GUESTS = [
    each
    for each in MODULES
    if each.name == "worker.py" or each in TRACER | JUDGES | EXPLAINING | FUSING | SERVING | {RECORDING}
]
GUESTS = [*KERNEL_GUESTS, PACKAGE / "processes" / "guard.py"]
LONGEST_LINES = 500
LONGER_FOR_A_REASON = {"errors.py"}  # every error stands in the one file, which is a list and no logic
DOCSTRING_LINES = 3


def named(path: Path) -> str:
    """Return a short name for a parametrized module."""
    return path.relative_to(PACKAGE).as_posix()


def imported(nodes: Iterator[ast.AST] | list[ast.stmt]) -> set[str]:
    """Return the top-level names that import statements among the nodes bring in."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add("." if node.level else str(node.module).partition(".")[0])
    return found


def test_the_import_contracts_are_kept(tmp_path: Path) -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--cache-dir", tmp_path]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_file_is_longer_than_500_lines() -> None:
    lengths = {named(each): len(each.read_text(encoding="utf-8").splitlines()) for each in MODULES}
    assert {name: length for name, length in lengths.items() if length > LONGEST_LINES}.keys() <= LONGER_FOR_A_REASON


@pytest.mark.parametrize("guest", GUESTS, ids=named)
def test_a_guest_needs_only_the_standard_library_to_start(guest: Path) -> None:
    # Inside a function a guest may load what the user's own environment brings, such as joblib.
    tree = ast.parse(guest.read_text(encoding="utf-8"))
    # Those of a scoring worker are a package of their own there, and import each other.
    own = {".", "modelwright_guest"} if guest in SERVING else set()
    assert imported(tree.body) <= sys.stdlib_module_names | own
    assert not imported(ast.walk(tree)) & ({"modelwright", "."} - own)


@pytest.mark.parametrize("guest", KERNEL_GUESTS, ids=named)
def test_a_guest_is_written_for_python_39(guest: Path) -> None:
    ast.parse(guest.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_only_settings_and_guests_read_the_environment() -> None:
    readers = {
        named(module)
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in {"environ", "environb", "getenv", "getenvb"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    assert readers <= {"settings.py", *map(named, GUESTS)}


def test_every_room_says_what_it_owns_takes_and_gives() -> None:
    rooms = {each.parent.name: ast.parse(each.read_text(encoding="utf-8")) for each in PACKAGE.glob("*/__init__.py")}
    rooms.pop("records", None)  # the nouns themselves: nothing is taken or given
    lines = {name: len((ast.get_docstring(tree) or "").splitlines()) for name, tree in rooms.items()}
    assert [name for name, count in lines.items() if count < DOCSTRING_LINES] == []
