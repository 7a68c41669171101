"""What an interpreter has, and which pins a project's imports lead to."""

import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from modelwright.environments.inspection import Inspection, check_versions, closure, inspect, requirements_for
from modelwright.errors import (
    DistributionEditable,
    InterpreterDiffers,
    InterpreterUnreadable,
    ModuleNotDistributed,
    ModuleNotInstalled,
)
from modelwright.records import Requirement

OURS = Path(sys.executable)
WORKER = Path(__file__).parents[2] / "src" / "modelwright" / "environments" / "worker.py"


def bare_interpreter(folder: Path) -> Path:
    """Return the Python of a new, empty virtual environment."""
    subprocess.run([OURS, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin" / "python"


def site_packages(python: Path) -> Path:
    """Return where that Python has its packages."""
    return next((python.parent.parent / "lib").glob("python*/site-packages"))


def install_by_hand(python: Path, files: dict[str, str]) -> None:
    """Write files below site-packages, as an installer would."""
    for name, text in files.items():
        path = site_packages(python) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def distribution_files(name: str, modules: list[str], **more: str) -> dict[str, str]:
    """Return the files of a small distribution with these modules; `more` are further metadata files."""
    info = f"{name}-1.0.dist-info"
    files = dict.fromkeys(modules, "")
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files.update({f"{info}/{key}": text for key, text in more.items()})
    files[f"{info}/RECORD"] = "".join(f"{each},,\n" for each in [*files, f"{info}/RECORD"])
    return files


def test_every_installed_distribution_is_seen_with_its_version(ours: Inspection) -> None:
    here = {canonicalize_name(each.metadata["Name"]): each.version for each in metadata.distributions()}
    assert {name: each.version for name, each in ours.distributions.items()} == here


def test_an_import_name_leads_to_the_distribution_that_is_called_otherwise(ours: Inspection) -> None:
    pinned = requirements_for(["sklearn.linear_model", "IPython"], python=OURS)
    versions = {name: ours.distributions[name].version for name in ("ipython", "scikit-learn")}
    assert [str(each) for each in pinned] == [f"{name}=={version}" for name, version in versions.items()]


def test_modules_of_python_and_of_the_project_need_no_pin() -> None:
    assert (
        requirements_for(["os.path", "json", "__future__", "helpers.plots"], python=OURS, folder_modules=["helpers"])
        == ()
    )


def test_a_missing_module_is_refused_with_the_command_that_installs_it() -> None:
    with pytest.raises(ModuleNotInstalled) as raised:
        requirements_for(["cv2"], python=OURS)
    assert str(raised.value) == f'module "cv2" is not installed in "{OURS}"'
    assert raised.value.next_command == f"{OURS} -m pip install opencv-python"


def test_all_missing_modules_are_named_at_once(tmp_path: Path) -> None:
    python = bare_interpreter(tmp_path / "bare")
    with pytest.raises(ModuleNotInstalled, match=r'"joblib", "sklearn\.linear_model"') as raised:
        requirements_for(["json", "sklearn.linear_model", "joblib"], python=python)
    assert raised.value.next_command == f"{python} -m pip install joblib scikit-learn"


def test_a_module_of_an_editable_install_is_refused() -> None:
    with pytest.raises(DistributionEditable, match='"modelwright" is installed as an editable link to'):
        requirements_for(["modelwright"], python=OURS)


def test_a_loose_file_on_the_path_is_refused_with_its_place(tmp_path: Path) -> None:
    python = bare_interpreter(tmp_path / "bare")
    install_by_hand(python, {"loose.py": ""})
    with pytest.raises(ModuleNotDistributed, match=r"loose\.py"):
        requirements_for(["loose"], python=python)


def test_a_namespace_is_told_apart_by_the_dotted_name(tmp_path: Path) -> None:
    python = bare_interpreter(tmp_path / "bare")
    install_by_hand(python, distribution_files("cloud-store", ["space/store/__init__.py"]))
    install_by_hand(python, distribution_files("cloud-queue", ["space/queue.py"]))
    assert [each.name for each in requirements_for(["space.store.Bucket"], python=python)] == ["cloud-store"]
    assert [each.name for each in requirements_for(["space.queue"], python=python)] == ["cloud-queue"]
    assert [each.name for each in requirements_for(["space"], python=python)] == ["cloud-queue", "cloud-store"]


def test_the_closure_follows_markers_and_extras_and_leaves_out_what_is_absent(tmp_path: Path) -> None:
    python = bare_interpreter(tmp_path / "bare")
    metadata_text = (
        "Metadata-Version: 2.1\nName: top\nVersion: 1.0\n"
        'Requires-Dist: old ; python_version < "3"\nRequires-Dist: middle[fast]\nRequires-Dist: absent\n'
    )
    middle_text = (
        "Metadata-Version: 2.1\nName: middle\nVersion: 1.0\nRequires-Dist: top\n"
        'Requires-Dist: quick ; extra == "fast"\nRequires-Dist: docs ; extra == "docs"\n'
    )
    install_by_hand(python, distribution_files("top", ["top.py"], METADATA=metadata_text))
    install_by_hand(python, distribution_files("middle", ["middle.py"], METADATA=middle_text))
    for name in ("old", "quick", "docs", "unrelated"):
        install_by_hand(python, distribution_files(name, [f"{name}.py"]))
    found = closure(requirements_for(["top"], python=python), inspect(python))
    assert [each.name for each in found] == ["middle", "quick", "top"]


def test_a_requirement_that_is_not_installed_is_refused(ours: Inspection) -> None:
    with pytest.raises(ModuleNotInstalled, match="no-such-thing"):
        closure([Requirement("no-such-thing", "1")], ours)


def test_other_versions_than_a_project_was_made_with_are_refused(ours: Inspection) -> None:
    pytest_here = ours.distributions["pytest"].version
    check_versions([Requirement("pytest", pytest_here)], python=ours.python)
    wanted = [Requirement("pytest", "0.1"), Requirement("no-such-thing", "1")]
    with pytest.raises(InterpreterDiffers) as refused:
        check_versions(wanted, python=ours.python)
    assert f"has pytest {pytest_here}, no no-such-thing, but" in str(refused.value)
    assert "with pytest 0.1, no-such-thing 1" in str(refused.value)


def test_what_is_no_python_is_refused_with_its_own_words(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho broken indeed >&2\nexit 3\n", encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(InterpreterUnreadable, match="broken indeed"):
        inspect(program)


def test_an_interpreter_that_talks_at_start_up_is_refused(tmp_path: Path) -> None:
    python = bare_interpreter(tmp_path / "bare")
    install_by_hand(python, {"talk.pth": "import sys; sys.stdout.write('hello')\n"})
    with pytest.raises(InterpreterUnreadable, match="printed something of its own"):
        inspect(python)


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13", "3.14"])
def test_the_guest_answers_in_other_pythons(version: str) -> None:
    found = shutil.which(f"python{version}")
    if not found or subprocess.run([found, "-c", ""], check=False, capture_output=True).returncode:
        pytest.skip(f"no python{version} on this machine")
    inspection = inspect(Path(found), ["json.decoder", "no_such_module"])
    assert inspection.python_version.startswith(f"{version}.")
    assert inspection.modules["json.decoder"].is_standard
    assert not inspection.modules["no_such_module"].is_standard
    assert inspection.modules["no_such_module"].owners == ()


def test_the_guest_reads_nothing_newer_than_python_39() -> None:
    import ast

    ast.parse(WORKER.read_text(encoding="utf-8"), feature_version=(3, 9))
