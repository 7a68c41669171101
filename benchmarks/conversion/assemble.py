"""Lay out the corpus from clones of the repositories that corpus.toml names, with the Pythons that run it.

    python benchmarks/conversion/assemble.py --clones FOLDER --into CORPUS

FOLDER holds a clone of each repository as OWNER/NAME. Each notebook gets a folder of its own in CORPUS, with the
files that it reads where its repository has them, all as they were at the commit named. CORPUS/index.json is what
run.py takes. The environments of corpus.toml are made with uv and pip in CORPUS/environments.
"""

import argparse
import json
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LIST = Path(__file__).with_name("corpus.toml")


def lay_out(notebook: dict[str, Any], *, clones: Path, into: Path) -> dict[str, Any]:
    """Write a notebook, the files that it reads and the empty folders that it writes to; return its row of the index.

    Raises:
        subprocess.CalledProcessError: if the clone, its commit or a file is not there.
    """
    folder = f"{notebook['number']:03}-{notebook['slug']}"
    for path in (notebook["path"], *notebook["data_files"]):
        target = into / folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_git(clones / notebook["repository"], "show", f"{notebook['commit']}:{path}"))
    for path in notebook.get("empty_folders", ()):
        (into / folder / path).mkdir(parents=True, exist_ok=True)
    return {
        "folder": folder,
        "notebook": notebook["path"],
        "interpreter": f"environments/{notebook['python']}/bin/python",
        "label": notebook["label"],
        "reproduces_itself": notebook["reproduces_itself"],
        "libraries": notebook["libraries"],
    }


def _git(clone: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", "-C", clone, *arguments], check=True, capture_output=True).stdout  # noqa: S603, S607


def make_environment(environment: dict[str, Any], into: Path) -> None:
    """Make one of the environments that notebooks run in, if it is not there yet."""
    folder = into / "environments" / environment["name"]
    if not (folder / "made").exists():
        making = ("uv", "venv", "--quiet", "--clear", "--seed", "--python", environment["python"], folder)
        # By pip, which takes the build of torch that is set up for the machine.
        filling = (folder / "bin" / "python", "-m", "pip", "install", "--quiet", *environment["packages"])
        for command in (making, filling):
            subprocess.run(command, check=True)  # noqa: S603
        (folder / "made").touch()


def _rows(listed: list[dict[str, Any]], *, clones: Path, into: Path) -> Iterator[dict[str, Any]]:
    for notebook in listed:
        try:
            yield lay_out(notebook, clones=clones, into=into)
        except subprocess.CalledProcessError as error:
            print(f"left out {notebook['slug']}: {error.stderr.decode(errors='replace').strip()}")


def main() -> None:
    """Lay out what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clones", type=Path, required=True)
    parser.add_argument("--into", type=Path, required=True)
    arguments = parser.parse_args()
    into = arguments.into.absolute()
    into.mkdir(parents=True, exist_ok=True)
    content = tomllib.loads(_LIST.read_text(encoding="utf-8"))
    rows = list(_rows(content["notebook"], clones=arguments.clones.absolute(), into=into))
    for environment in content["environment"]:
        print(f"environment {environment['name']}", flush=True)
        make_environment(environment, into)
    (into / "index.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    print(f"{len(rows)} notebooks in {into / 'index.json'}")


if __name__ == "__main__":
    main()
