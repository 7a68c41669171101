"""The code that runs: which files, from which commit, and how they differ from it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from modelwright.projects.code import code_state, digest_files
from modelwright.projects.manifest import MANIFEST_FILE
from modelwright.records import Artifact, GitState
from modelwright.settings import child_environment, notebook

DIFF = "git.diff"

# Some of what git's answer depends on is no code, such as hidden files: it is asked anew after this long in any case.
_GIT_IS_FRESH_SECONDS = 5.0
_SITES = frozenset({"site-packages", "dist-packages"})
_NO_COMMIT = "(initial)"
_DETACHED = "(detached)"


@dataclass(frozen=True)
class Snapshot:
    """The code below `folder`, and of which commit it is; `difference` is what `git apply` makes it of that commit."""

    folder: Path
    files: tuple[Artifact, ...]
    code_digest: str
    git: GitState | None
    difference: bytes


@dataclass(frozen=True)
class Program:
    """What is running: its project's folder, and its file's path within it, empty when nobody typed it into a file."""

    folder: Path
    file: str


_last: dict[Path, tuple[object, float, Snapshot]] = {}


def program() -> Program:
    """Return what the present process runs: a script, or a notebook."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None) or getattr(main, "__vsc_ipynb_file__", None) or notebook()
    path = Path(file).absolute() if file else None
    if path is None or not path.is_file() or path.is_relative_to(sys.prefix) or _SITES & set(path.parts):
        return Program(project_folder(Path.cwd()), "")  # an installed program, such as pytest, is nobody's project
    folder = project_folder(path.parent)
    return Program(folder, path.relative_to(folder).as_posix())


def project_folder(start: Path) -> Path:
    """Return the folder of the project that `start` lies in: that of the manifest, else the repository's, else it."""
    for mark in (MANIFEST_FILE, ".git"):
        for folder in (start, *start.parents):
            if (folder / mark).exists():
                return folder
    return start


def take(folder: Path) -> Snapshot:
    """Return the snapshot of `folder`, the last one while nothing has changed. Raises SnapshotTooLarge."""
    files = code_state(folder)
    key = (files, _git_stamps(folder))
    last = _last.get(folder)
    if last and last[0] == key and time.monotonic() - last[1] < _GIT_IS_FRESH_SECONDS:
        return last[2]
    git = git_state(folder)
    difference = git_difference(folder, {each.path for each in files}) if git and git.is_dirty else b""
    digest = last[2].code_digest if last and last[2].files == files else digest_files(files)
    found = Snapshot(folder, files, digest, git, difference)
    _last[folder] = (key, time.monotonic(), found)
    return found


def git_state(folder: Path) -> GitState | None:
    """Return the commit that `folder` is at; None outside of a repository, without a commit, or without git.

    None too for a folder that the repository ignores: no commit has what is in it.
    """
    try:
        told = _git(folder, "status", "--porcelain=v2", "--branch", "--ignored", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return None
    lines = told.decode(errors="replace").splitlines()
    facts = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# "))
    commit, branch = facts["branch.oid"], facts["branch.head"]
    is_ignored = any(line.startswith("! ") and set(line[2:]) <= {".", "/"} for line in lines)
    if commit == _NO_COMMIT or is_ignored:
        return None
    return GitState(
        commit=commit,
        is_dirty=any(not line.startswith(("#", "!")) for line in lines),
        branch=None if branch == _DETACHED else branch,
        repository=_repository(folder),
    )


def _repository(folder: Path) -> str | None:
    try:
        url = _git(folder, "ls-remote", "--get-url").decode(errors="replace").strip()
    except subprocess.CalledProcessError:  # there is no remote
        return None
    return without_credentials(url) if url != "origin" else None  # older ones answer with its name


def without_credentials(url: str) -> str:
    """Return a repository's URL without what logs somebody in: in a snapshot it would be there for all to read."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    if parts.scheme in {"http", "https"}:  # the user's name alone may be a token
        return urlunsplit((parts.scheme, host, parts.path, "", ""))
    user = user.partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{user}@{host}" if user else host))


def git_difference(folder: Path, code: Collection[str]) -> bytes:
    """Return how the files of `folder` differ from the commit, for `git apply`; empty without a commit or git.

    New files are in it when they are among `code`: others may be secrets or data. The repository stays untouched.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="wright-git-") as temporary:
            index = Path(temporary) / "index"
            place = Path(os.fsdecode(_git(folder, "rev-parse", "--git-path", "index").rstrip(b"\n")))
            if (folder / place).exists():
                shutil.copy2(folder / place, index)  # its time tells git which files it may not trust the times of
            theirs = {"GIT_INDEX_FILE": str(index)}
            new = _git(folder, "ls-files", "-z", "--others", "--exclude-standard", "--", ".", **theirs).split(b"\0")
            wanted = [each for each in new if os.fsdecode(each) in code]
            if wanted:
                paths = Path(temporary) / "paths"
                paths.write_bytes(b"\0".join(wanted))
                given = (f"--pathspec-from-file={paths}", "--pathspec-file-nul")
                _git(folder, "--literal-pathspecs", "add", "--intent-to-add", *given, **theirs)
            form = ("--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")
            return _git(folder, "diff", *form, "HEAD", "--", ".", **theirs)
    except (OSError, subprocess.CalledProcessError):
        return b""


def _git(folder: Path, *arguments: str, **variables: str) -> bytes:
    done = subprocess.run(  # noqa: S603 - an argument list, no shell
        ["git", "-C", str(folder), *arguments],  # noqa: S607 - the user's own git
        check=True,
        capture_output=True,
        # Without optional locks it does not write to the repository that somebody is working in.
        env=child_environment({"GIT_OPTIONAL_LOCKS": "0"} | variables),
    )
    return done.stdout


def _git_stamps(folder: Path) -> Mapping[str, tuple[int, int]]:
    """Return size and time of the files that change when a commit is made, a branch left or a remote renamed."""
    for above in (folder, *folder.parents):
        if (above / ".git").exists():
            found = {}
            for name in ("HEAD", "index", "logs/HEAD", "config"):
                try:
                    stat = (above / ".git" / name).stat()
                except OSError:
                    continue
                found[name] = (stat.st_size, stat.st_mtime_ns)
            return found
    return {}
