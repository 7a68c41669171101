"""A user's git repository."""

import subprocess
from pathlib import Path

from modelwright.settings import child_environment


class Repository:
    """A folder with a repository, in which Ada commits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit("first")

    def git(self, *words: str) -> str:
        who = {f"GIT_{role}_{fact}": "ada@home" for role in ("AUTHOR", "COMMITTER") for fact in ("NAME", "EMAIL")}
        done = subprocess.run(
            ["git", *words], cwd=self.folder, check=True, capture_output=True, text=True, env=child_environment(who)
        )
        return done.stdout.strip()

    def commit(self, message: str, **files: str) -> str:
        """Write files by their paths, commit all that there is, and return the commit."""
        for name, text in files.items():
            (self.folder / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def change(self, path: str, old: str, new: str) -> str:
        """Change a file, commit it, and return the commit."""
        text = (self.folder / path).read_text()
        assert old in text
        (self.folder / path).write_text(text.replace(old, new))
        return self.commit(f"{old} becomes {new}")
