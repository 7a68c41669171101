"""The command line, one module per noun: parses, calls one function of a room, renders. The only room that prints.

Commands are imported when they are called, so that `wright --help` is quick.
"""


def main() -> None:
    """Run `wright`; exits 0 when done, 1 when refused or failed, 2 for wrong usage, 130 after Ctrl-C."""
    from modelwright.cli.program import run

    run()
