"""The server's side of a command from elsewhere: does what a client has asked, as `wright` does.

`python -m modelwright.cli.answering CALL` takes a file that the API has written: the words of the command, the
workspace, and the role of who gave it. Their name is in the environment, and their files are in the working folder.
"""

import functools
import json
import sys
from pathlib import Path
from typing import Any

import click

from modelwright.cli import output
from modelwright.cli.program import FITTING, program, run
from modelwright.cli.remote import fitting
from modelwright.records import Role


def answer(workspace: str, words: list[str], role: Role) -> Any:
    """Obey the words in the workspace, as far as the role allows."""
    context = program.make_context("wright", ["--workspace", workspace, *_checked(words)])
    context.meta[output.WORDS] = words
    context.meta[FITTING] = functools.partial(fitting.for_server, role=role)
    with context:
        return program.invoke(context)


def _checked(words: list[str]) -> list[str]:
    # The program's own options say which workspace is meant; a client has said that by asking here.
    if words and words[0].startswith("-") and words[0] not in {"-h", "--help", "--version"}:
        rule = f'"{words[0]}" is for the client to heed'
        raise click.UsageError(rule)
    return words


def main() -> None:
    """Do what the file says that the command line names."""
    call = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    words = [str(each) for each in call["words"]]
    sys.argv = ["wright", *words]
    if call["input"]:
        sys.stdin = Path(call["input"]).open(encoding="utf-8", errors="surrogateescape")  # noqa: SIM115 - for good
    run(lambda: answer(call["workspace"], words, Role(call["role"])))


if __name__ == "__main__":
    main()
