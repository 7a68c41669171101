"""What is asked of a repository, in every state that one can be in."""

import shutil
from pathlib import Path

import pytest
from lifecycle.ci.repositories import Repository

from modelwright.errors import BranchMissing, CommandMissing, CommitMissing, GitFailed, RepositoryMissing
from modelwright.lifecycle.ci import commits


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with three commits."""
    (tmp_path / "home").mkdir()
    found = Repository(tmp_path / "home")
    found.commit("one", **{"train.py": "1"})
    found.commit("two", **{"notes.md": "2"})
    return found


def _checked_out(place: Path, into: Path) -> set[str]:
    commits.check_out(place, commits.head(place), into=into, branch=commits.branch_of(place))
    return {each.name for each in into.iterdir()} - {".git"}


def test_after_a_commit_that_is_gone_all_of_the_next_counts_as_changed(repository: Repository) -> None:
    last = commits.head(repository.folder)
    assert commits.changed(repository.folder, commits.parent_of(repository.folder, last), last) == ("notes.md",)
    assert commits.changed(repository.folder, "0" * 40, last) == ("notes.md", "train.py")


def test_a_shallow_clone_whose_head_is_detached_has_a_commit_and_no_parent(
    repository: Repository, tmp_path: Path
) -> None:
    repository.git("clone", "--quiet", "--depth", "1", f"file://{repository.folder}", str(tmp_path / "shallow"))
    shallow = tmp_path / "shallow"
    repository.git("-C", str(shallow), "checkout", "--quiet", "--detach")
    assert commits.head(shallow) == commits.head(repository.folder)
    assert (commits.branch_of(shallow), commits.parent_of(shallow, commits.head(shallow))) == ("", None)
    assert _checked_out(shallow, tmp_path / "out") == {"notes.md", "train.py"}


def test_a_worktree_and_a_submodule_are_repositories_like_any_other(repository: Repository, tmp_path: Path) -> None:
    repository.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "tree"))
    (tmp_path / "above").mkdir()
    above = Repository(tmp_path / "above")
    above.git("-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(repository.folder), "below")
    for number, place in enumerate((tmp_path / "tree", above.folder / "below")):
        assert _checked_out(place, tmp_path / f"out-{number}") == {"notes.md", "train.py"}
        assert commits.hooks_folder(place).name == "hooks"
    assert commits.branch_of(tmp_path / "tree") == "side"


def test_a_repository_without_a_commit_and_a_folder_without_a_repository_are_told_apart_from_a_wrong_name(
    repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    repository.git("init", "--quiet", str(tmp_path / "empty"))
    for folder in (tmp_path / "empty", tmp_path):
        with pytest.raises(RepositoryMissing, match="is in no git repository with a commit"):
            commits.head(folder)
    with pytest.raises(BranchMissing, match='has no branch "moon"'):
        commits.head(repository.folder, "moon")
    with pytest.raises(CommitMissing, match='has no commit "moon"'):
        commits.resolve(repository.folder, "moon")


def test_what_git_refuses_is_told_in_its_own_words(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(GitFailed, match=r'git does not do "clone" .* already exists and is not an empty directory'):
        commits.check_out(repository.folder, "HEAD", into=tmp_path / "out")
    shutil.rmtree(repository.folder / ".git" / "objects")
    with pytest.raises(GitFailed, match='git does not do "rev-parse"'):
        commits.head(repository.folder)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CommandMissing, match='"git" is not on this machine'):
        commits.head(repository.folder)
