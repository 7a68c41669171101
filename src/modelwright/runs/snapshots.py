"""Which commit the code that ran comes from."""

import subprocess
from pathlib import Path

from modelwright.records import GitState
from modelwright.settings import child_environment


def git_state(folder: Path) -> GitState | None:
    """Return the commit that `folder` is at; None outside of a repository, without a commit, or without git."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", ".")
    except (OSError, subprocess.CalledProcessError):
        return None
    return GitState(commit=commit, is_dirty=bool(changed))


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - an argument list, no shell
        ["git", "-C", str(folder), *arguments],  # noqa: S607 - the user's own git
        check=True,
        capture_output=True,
        text=True,
        env=child_environment(),
    )
    return done.stdout.strip()
