"""Packages that a notebook's cells install, out of the command lines of pip and conda."""

import re
import shlex
from pathlib import Path

_PYTHON = r"(?:\S*python\S*|[\"']?\{?sys\.executable\}?[\"']?|\$\S+)"
_INSTALLER = re.compile(
    rf"^\s*(?:sudo\s+)?(?:{_PYTHON}\s+-m\s+)?(?:\S*/)?(?P<tool>pip3?|uv\s+pip|conda|mamba)\b(?P<rest>.*)"
)
_VALUED = frozenset(
    """-i --index-url --extra-index-url -f --find-links -n --name -p --prefix -c --channel -t --target --constraint
    --trusted-host --root --platform --python-version --python --proxy --timeout --retries""".split()  # noqa: SIM905
)
_FILES = frozenset({"-r", "--requirement", "--file"})
_ENDS = frozenset({"&&", "||", ";", "|", ">", "2>", ">>", "&", "1>", "&>"})
_CONDA_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)={1,2}(?P<version>[\w.*]+)(?:=\S*)?$")
# What conda installs that is no distribution.
_NO_DISTRIBUTIONS = frozenset({"python", "pip", "conda", "mamba", "nodejs", "cudatoolkit"})


def is_install(command: str) -> bool:
    """Whether a command line calls an installer of Python packages, to install or to ask it something."""
    return _INSTALLER.match(command) is not None


def requirements(command: str, folder: Path) -> tuple[str, ...]:
    """Return the packages that a command line installs, as pip writes requirements.

    Files of requirements are read relative to `folder`. What has no name, such as a folder or the address of a
    repository, is left out.
    """
    match = _INSTALLER.match(command)
    try:
        words = shlex.split(match["rest"], comments=True) if match else []
    except ValueError:
        words = []
    if not match or "install" not in words:
        return ()
    is_conda = match["tool"] in {"conda", "mamba"}
    given, files = _arguments(words[words.index("install") + 1 :])
    for file in files:
        given += _lines_of(folder / file)
    return tuple(filter(None, (_requirement(each, is_conda=is_conda) for each in given)))


def _arguments(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the packages and the files of packages among the words after `install`."""
    given, files, remaining = list[str](), list[str](), iter(words)
    for word in remaining:
        if word in _ENDS:
            break
        if word in _FILES:
            files.append(next(remaining, ""))
        elif word in _VALUED:
            next(remaining, "")
        elif not word.startswith("-"):
            given.append(word.rstrip(";"))
            if word.endswith(";"):
                break
    return given, [each for each in files if each]


def _lines_of(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    plain = (line.partition(" #")[0].strip() for line in lines)
    return [line for line in plain if line and not line.startswith(("#", "-"))]


def _requirement(text: str, *, is_conda: bool) -> str | None:
    from packaging.requirements import InvalidRequirement, Requirement

    if text.endswith((".zip", ".gz", ".whl", ".tar", ".txt")):
        return None
    pin = _CONDA_PIN.match(text) if is_conda else None
    try:
        found = Requirement(f"{pin['name']}=={pin['version']}" if pin else text.rpartition("::")[2])
    except InvalidRequirement:
        return None
    return None if found.name.lower() in _NO_DISTRIBUTIONS else str(found)
