"""Commits of the user's repository: which there are, what they change, and their files in a folder apart.

The repository itself is only read: what is checked out is a clone that shares its objects.
"""

import subprocess
from pathlib import Path

from modelwright.errors import BranchMissing, CommandMissing, CommitMissing, GitFailed, RepositoryMissing
from modelwright.settings import child_environment


def head(repository: Path, branch: str | None = None) -> str:
    """Return the commit that a branch is at, by default the one that is checked out.

    Raises RepositoryMissing and BranchMissing.
    """
    if branch is None:
        return resolve(repository, "HEAD")
    try:
        return resolve(repository, f"refs/heads/{branch}")
    except CommitMissing as error:
        raise BranchMissing(folder=repository, branch=branch) from error


def resolve(repository: Path, name: str) -> str:
    """Return the full id of a commit. Raises RepositoryMissing and CommitMissing."""
    if not (repository / ".git").exists():
        raise RepositoryMissing(folder=repository)
    found = _git(repository, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
    if not found:
        raise RepositoryMissing(folder=repository) if name == "HEAD" else CommitMissing(folder=repository, commit=name)
    return found


def branch_of(repository: Path) -> str:
    """Return the branch that is checked out; nothing when none is."""
    return _git(repository, "symbolic-ref", "--short", "--quiet", "HEAD").strip()


def parent_of(repository: Path, commit: str) -> str | None:
    """Return the first parent of a commit; None when it is the first one, or the first that a shallow clone has."""
    return _git(repository, "rev-parse", "--verify", "--quiet", f"{commit}^").strip() or None


def changed(repository: Path, since: str | None, commit: str) -> tuple[str, ...]:
    """Return the paths of what differs between two commits; all that a commit has when there is none before.

    One that is gone, because history was rewritten, is none.
    """
    try:
        before = None if since is None else resolve(repository, since)
    except CommitMissing:
        before = None
    if before is None:
        told = _git(repository, "ls-tree", "-r", "-z", "--name-only", commit)
    else:
        told = _git(repository, "diff", "--name-only", "-z", "--no-renames", before, commit)
    return tuple(each for each in told.split("\0") if each)


def check_out(repository: Path, commit: str, *, into: Path, branch: str = "") -> None:
    """Write the files of a commit to the folder `into`, which becomes a repository of its own at that commit."""
    into.parent.mkdir(parents=True, exist_ok=True)
    _git(repository, "clone", "--quiet", "--shared", "--no-checkout", str(repository), str(into))
    place = ["-B", branch] if branch else ["--detach"]
    _git(into, "checkout", "--quiet", *place, commit)


def hooks_folder(repository: Path) -> Path:
    """Return where the repository's hooks are."""
    return repository / _git(repository, "rev-parse", "--git-path", "hooks").strip()


def _git(folder: Path, *arguments: str) -> str:
    """Return what git answers; nothing when all that it says is no. Raises CommandMissing and GitFailed."""
    try:
        done = subprocess.run(  # noqa: S603 - an argument list, no shell
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - the user's own git
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            # Inside of a hook git says in variables which repository is meant, whatever -C says.
            env={name: value for name, value in child_environment().items() if not name.startswith("GIT_")},
        )
    except FileNotFoundError as error:
        install = "install git, and see that it is on the path"
        raise CommandMissing(command="git", purpose="it has the commits", install=install) from error
    told = " ".join(done.stderr.decode(errors="replace").split())
    if done.returncode > 1 or (done.returncode and told):
        raise GitFailed(folder=folder, command=arguments[0], told=told)
    return done.stdout.decode(errors="surrogateescape")
