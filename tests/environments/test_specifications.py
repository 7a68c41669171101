"""What each format asks for, and what of it is not taken over: with its place, and never in silence."""

from pathlib import Path

import pytest

from modelwright.environments.specifications import read_specification
from modelwright.errors import SpecificationInvalid, SpecificationMissing
from modelwright.records import Specification, SpecificationKind

PROJECT = """
[project]
name = "demo"
version = "0"
requires-python = ">=3.11"
dependencies = ["alpha>=1", "beta"]

[project.optional-dependencies]
fast = ["gamma"]
all = ["demo[fast]", "demo[all]"]

[dependency-groups]
test = ["pytest"]
dev = ["ruff", {include-group = "test"}]
"""
PYLOCK_OF_NOTHING = """
lock-version = "1.0"
[[packages]]
name = "=1"
version = "1"
sdist = { hashes = { sha256 = "a" } }
"""


def read(folder: Path, name: str, text: str, **chosen: tuple[str, ...]) -> Specification:
    """Write the file and read it."""
    (folder / name).write_text(text, encoding="utf-8")
    return read_specification(folder / name, **chosen)


def wanted(specification: Specification) -> list[str]:
    return [each.text for each in specification.wanted]


def findings(specification: Specification) -> dict[int, str]:
    return {each.line: each.code for each in specification.findings}


def test_a_requirements_file_gives_its_lines_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("beta\n", encoding="utf-8")
    (tmp_path / "limits.txt").write_text("beta<2\n", encoding="utf-8")
    text = """\
# a comment
alpha[x]>=1.0 \\
    ,<2  # another
-r more.txt
-c limits.txt
gamma==1.0 ; python_version > "3"
"""
    found = read(tmp_path, "requirements.txt", text)
    assert [(each.text, each.file, each.line) for each in found.wanted] == [
        ("alpha[x]>=1.0 ,<2", "requirements.txt", 2),
        ("beta", "more.txt", 1),
        ('gamma==1.0 ; python_version > "3"', "requirements.txt", 6),
    ]
    assert [(each.text, each.file) for each in found.constraints] == [("beta<2", "limits.txt")]
    assert not found.findings
    assert not found.is_exact


def test_requirements_that_cannot_be_locked_are_findings(tmp_path: Path) -> None:
    text = """\
-e .
--editable=./lib
git+https://user:secret@example.com/x.git@main
name @ https://example.com/name.zip
../folder
--extra-index-url https://user:secret@example.com/simple
--pre
alpha --config-settings=a=b
"""
    found = read(tmp_path, "requirements.txt", text)
    assert findings(found) == {
        1: "requirement-editable",
        2: "requirement-editable",
        3: "requirement-address",
        4: "requirement-address",
        5: "requirement-address",
        6: "option-not-kept",
        7: "option-not-kept",
        8: "option-not-kept",
    }
    assert wanted(found) == ["alpha"]
    assert not any(each.is_honoured for each in found.findings)
    assert "secret" not in str(found.findings)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_as_windows_writes_them_are_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "requirements.txt").write_bytes("alpha==1.0\r\nbeta\r\n".encode(encoding))
    assert wanted(read_specification(tmp_path / "requirements.txt")) == ["alpha==1.0", "beta"]


def test_files_that_name_each_other_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("-r requirements.txt\nbeta\n", encoding="utf-8")
    assert wanted(read(tmp_path, "requirements.txt", "alpha\n-r other.txt\n")) == ["alpha", "beta"]


def test_a_file_that_is_named_and_missing_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(SpecificationMissing, match=r'no.txt" .* named in requirements.txt:2'):
        read(tmp_path, "requirements.txt", "alpha\n-r no.txt\n")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("requirements.txt", "alpha\nbeta is good\n", r', line 2,.*"beta is good"'),
        ("requirements.txt", "./gone-1.0-py3-none-any.whl\n", r", line 1,.*gone-1.0"),
        ("pyproject.toml", "[tool.poetry]\n", r"no \[project\] table"),
        ("pyproject.toml", "[project\n", r"does not say"),
        ("pyproject.toml", '[project]\nname = "x"\nrequires-python = "^3.9"\n', r'requires-python is "\^3\.9"'),
        ("pyproject.toml", '[project]\nname = "x"\ndependencies = ["x[y]"]\n', '"y" is none of its extras'),
        ("pylock.toml", 'lock-version = "9"\n', "lock-version is '9'"),
        ("pylock.toml", PYLOCK_OF_NOTHING, '"=1==1" cannot be understood'),
        ("environment.yml", "name: x\n", 'no "dependencies"'),
        ("environment.yml", "dependencies: [\n", "does not say"),
        ("environment.yml", "dependencies: numpy\n", "line 1 is to be a list"),
        ("Pipfile", "", "none of those that are read"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(SpecificationInvalid, match=told):
        read(tmp_path, name, text)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "no.txt", tmp_path / "no.yml", tmp_path):
        with pytest.raises(SpecificationMissing):
            read_specification(path)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, ["alpha>=1", "beta"]),
        ({"extras": ("all",)}, ["alpha>=1", "beta", "gamma"]),
        ({"groups": ("dev",)}, ["alpha>=1", "beta", "ruff", "pytest"]),
    ],
)
def test_a_project_asks_for_its_dependencies_and_the_extras_and_groups_chosen(
    tmp_path: Path, chosen: dict[str, tuple[str, ...]], expected: list[str]
) -> None:
    found = read(tmp_path, "pyproject.toml", PROJECT, **chosen)
    assert wanted(found) == expected
    assert found.python == ">=3.11"
    assert found.wanted[0].line == 6


def test_an_unknown_extra_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(SpecificationInvalid, match='"slow" is none of its extras: all, fast'):
        read(tmp_path, "pyproject.toml", PROJECT, extras=("slow",))
    with pytest.raises(SpecificationInvalid, match="neither extras nor groups"):
        read(tmp_path, "requirements.txt", "alpha\n", extras=("slow",))


def test_what_uv_is_told_to_take_from_elsewhere_is_a_finding(tmp_path: Path) -> None:
    text = PROJECT.replace('version = "0"', 'version = "0"\ndynamic = ["dependencies"]')
    text += '\n[tool.uv]\noverride-dependencies = ["x"]\nconstraint-dependencies = ["beta<2"]\n'
    text += '[tool.uv.sources]\nbeta = { git = "https://example.com/beta" }\n'
    found = read(tmp_path, "pyproject.toml", text)
    assert [each.code for each in found.findings] == ["dependencies-dynamic", "source-elsewhere", "setting-not-kept"]
    assert wanted(found) == ["alpha>=1"]
    assert [each.text for each in found.constraints] == ["beta<2"]
    assert all(each.line for each in found.findings)


def test_a_pylock_is_exact_and_what_it_takes_from_elsewhere_is_a_finding(tmp_path: Path) -> None:
    text = f"""
lock-version = "1.0"
requires-python = ">=3.11"
extras = ["fast"]
[[packages]]
name = "alpha"
version = "1.0"
wheels = [{{ url = "https://x/alpha.whl", hashes = {{ sha256 = "{"a" * 64}" }} }}]
[[packages]]
name = "gamma"
version = "1.0"
marker = "'fast' in extras"
sdist = {{ url = "https://x/gamma.tar.gz", hashes = {{ sha256 = "{"b" * 64}" }} }}
[[packages]]
name = "local"
directory = {{ path = "." }}
"""
    found = read(tmp_path, "pylock.toml", text, extras=("fast",))
    assert found.is_exact
    assert wanted(found) == ["alpha==1.0", "gamma==1.0 ; 'fast' in extras"]
    assert found.wanted[0].hashes == (f"sha256:{'a' * 64}",)
    assert findings(found) == {15: "source-elsewhere"}


CONDA = {
    "numpy": "numpy",
    "numpy=1.26": "numpy==1.26.*",
    "numpy==1.26.4": "numpy==1.26.4",
    "numpy=1.26.*": "numpy==1.26.*",
    "numpy 1.26.4": "numpy==1.26.4",
    "numpy 1.26.*": "numpy==1.26.*",
    "numpy>=1.20,<2": "numpy>=1.20,<2",
    "numpy >=1.20, <2.*": "numpy>=1.20,<2",
    "numpy[version='>=1.20']": "numpy>=1.20",
    "numpy[version='1.26.4']": "numpy==1.26.4",
    "scikit_learn": "scikit-learn",
    "typing_extensions": "typing-extensions",
}
NOT_ALIKE = {
    "numpy=1.26.4=py311_0": ("numpy==1.26.4", "conda-build"),
    "numpy 1.26.4 py311_0": ("numpy==1.26.4", "conda-build"),
    "numpy=1.26[build=py311_0]": ("numpy==1.26.*", "conda-build"),
    "numpy[version='>=1.20',subdir=linux-64]": ("numpy>=1.20", "conda-build"),
    "numpy[channel=nvidia]": ("numpy", "conda-channel"),
    "nvidia::numpy=1.26": ("numpy==1.26.*", "conda-channel"),
    "pytorch=2.1": ("torch==2.1.*", "conda-renamed"),
    "matplotlib-base": ("matplotlib", "conda-renamed"),
    "numpy=1.26|1.25": (None, "conda-pin"),
    "numpy=1.2*": (None, "conda-pin"),
    "graphviz": (None, "conda-package"),
    "cudatoolkit>=11": (None, "conda-package"),
    "_libgcc_mutex=0.1=main": (None, "conda-package"),
    "openssl=1.1.1w": (None, "conda-package"),
}


@pytest.mark.parametrize("entry", CONDA)
def test_a_conda_package_that_is_the_same_on_the_index_is_taken(tmp_path: Path, entry: str) -> None:
    found = read(tmp_path, "environment.yml", f'dependencies:\n  - "{entry}"\n')
    assert wanted(found) == [CONDA[entry]]
    assert [each.code for each in found.findings] == ["conda-unused"]


@pytest.mark.parametrize("entry", NOT_ALIKE)
def test_a_conda_package_that_differs_or_is_left_out_is_a_finding_with_its_line(tmp_path: Path, entry: str) -> None:
    expected, code = NOT_ALIKE[entry]
    found = read(tmp_path, "environment.yml", f'name: x\ndependencies:\n  - "{entry}"\n')
    assert wanted(found) == ([expected] if expected else [])
    told = next(each for each in found.findings if each.code == code)
    assert (told.line, told.file, told.is_honoured) == (3, "environment.yml", expected is not None)
    assert told.fix


def test_an_unknown_conda_package_with_a_version_is_only_assumed(tmp_path: Path) -> None:
    found = read(tmp_path, "environment.yml", "dependencies:\n- alpha=1.0\n")
    assert [(each.text, each.is_assumed) for each in found.wanted] == [("alpha==1.0.*", True)]


def test_of_a_conda_file_the_python_and_the_pip_part_are_taken_and_the_rest_is_told(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("gamma\n", encoding="utf-8")
    text = """\
name: x
channels: [conda-forge, nvidia]
dependencies:
  - python=3.11
  - pip:
    - alpha==1.0
    - -r more.txt
    - -e .
  - npm:
    - left
variables:
  A: b
"""
    found = read(tmp_path, "environment.yml", text)
    assert found.kind is SpecificationKind.CONDA
    assert found.python == "==3.11.*"
    assert [(each.text, each.line) for each in found.wanted] == [("alpha==1.0", 6), ("gamma", 1)]
    assert findings(found) == {
        2: "conda-channel",
        8: "requirement-editable",
        9: "conda-entry",
        11: "conda-entry",
    }
