"""The command `wright`: its commands by name, its exit codes, its errors."""

import importlib
import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from keyword import iskeyword
from types import FrameType
from typing import Any, NoReturn

import click

from modelwright import __version__, settings
from modelwright.cli import output
from modelwright.errors import DiskFull, ModelwrightError

# Where a call's context keeps what each command is fitted with when it is given to a workspace elsewhere.
FITTING = "modelwright.fitting"
# What needs no workspace, or chooses one.
_AT_HOME = frozenset(
    {"login", "logout", "lint", "convert", "new", "test", "ci init", "ci quality", "ci run", "ci hook", "watch"}
)
_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_TERMINATED = 143


class LazyGroup(click.Group):
    """A group whose commands are named here and imported when they are called or listed in detail."""

    def __init__(self, *, lazy: Mapping[str, tuple[str, str]], **options: Any) -> None:
        """Take `lazy`: command name to (module, one line of help)."""
        super().__init__(**options)
        self.lazy = lazy

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """Keep the words of the call, which an error may want to repeat."""
        words = list(args)
        context = super().make_context(info_name, args, *rest, **extra)
        context.meta[output.WORDS] = words
        return context

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order in which a user meets them."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in self.lazy:
            return None
        module = importlib.import_module(f"modelwright.cli.{self.lazy[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name)
        fit = ctx.meta.get(FITTING)
        if fit:
            fit(cmd_name, command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Obey the command, or have it obeyed where the workspace is."""
        words = self._own_words(ctx.meta[output.WORDS])
        url = settings.workspace_url(ctx.params["workspace"])
        if url is None or FITTING in ctx.meta or {words[0] if words else "", " ".join(words[:2])} & _AT_HOME:
            return super().invoke(ctx)
        from modelwright.cli.remote import calling, fitting

        ctx.meta[FITTING] = fitting.for_client
        return calling.call(url, words, super().invoke(ctx))

    def _own_words(self, words: Sequence[str]) -> list[str]:
        """Return the words that come after the program's own options."""
        rest = list(words)
        while rest and rest[0].startswith("-"):
            rest = rest[2 if rest[0] == "--workspace" else 1 :]
        return rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.lazy.items()])


@click.command(
    cls=LazyGroup,
    lazy={
        "ship": ("ship", "From notebooks to a served, registered, proven model."),
        "lint": ("project", "Say what stands in the way of converting a notebook, without running it."),
        "convert": ("project", "Turn notebooks into a tested Python project."),
        "new": ("project", "Start a tested project without a notebook."),
        "prove": ("project", "Run notebook and project and compare their results."),
        "test": ("project", "Run a project's tests in its own environment."),
        "run": ("run", "Train a project's model on the record; list and show runs."),
        "environment": ("environment", "Lock, name, build and compare environments."),
        "pipeline": ("pipeline", "Publish a project's pipeline as it is now, and run it as it was then."),
        "schedule": ("schedule", "Let a published pipeline run by itself: at times, or when new data comes."),
        "sweep": ("sweep", "Try a project with many parameters, and keep the best."),
        "model": ("model", "Register, list, show and delete model versions."),
        "import": ("importing", "Bring what another program recorded here, counted."),
        "reproduce": ("reproduce", "Make a model version again from the record, and say how like it the new one is."),
        "why": ("lineage", "Tell what a prediction, version, run or endpoint came of, to the notebook's cell."),
        "impact": ("lineage", "Tell what depends on data, code, an environment, a run or a version."),
        "dataset": ("dataset", "Register data by name, read it back by version, see who used it."),
        "endpoint": ("endpoint", "Deploy, score, stop and look at endpoints."),
        "rollout": ("rollout", "Let a version take over an endpoint step by step, watched, or not at all."),
        "capture": ("capture", "See, keep, label and delete what endpoints were asked and answered."),
        "event": ("event", "Let what happens here start something elsewhere, and see whether it did."),
        "ci": ("ci", "Quality, training and releases, as CI systems call them; the same on one machine."),
        "watch": ("ci_running", "Let commits train and registered versions go out, on this machine."),
        "approve": ("approval", "Let a version go on to a stage, or not."),
        "approvals": ("approval", "List who let which version go on, when and why."),
        "audit": ("audit", "Who did what, when and why; whether the records are whole."),
        "at": ("travelling", "Ask a command what it would have said at some time before."),
        "settings": ("settings", "What the workspace asks of its users, such as reasons."),
        "token": ("token", "Who may use the workspace from elsewhere, and in which role."),
        "login": ("login", "Keep the token for a workspace elsewhere on this machine."),
        "logout": ("login", "Forget it."),
        "up": ("workspace", "Start the workspace's background services."),
        "down": ("workspace", "Stop them; nothing is left running."),
        "gc": ("gc", "Free the disk of files that nothing refers to."),
        "doctor": ("workspace", "Say what is wrong here and the command that mends it."),
    },
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="wright")
@click.option(
    "--workspace", metavar="FOLDER|URL", help="The workspace; else WRIGHT_WORKSPACE, else the nearest .wright."
)
@click.pass_context
def program(context: click.Context, workspace: str | None) -> None:
    """From a notebook to a model in production, with proof at every step."""
    context.obj = workspace


def run(obey: Callable[[], object] = lambda: program.main(standalone_mode=False)) -> NoReturn:
    """Run the program, or what is to be done in its place, and exit with its code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = obey()
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(_INTERRUPTED)
    except ModelwrightError as error:
        _show(error)
        sys.exit(1)
    except OSError as error:
        full = DiskFull.found_in(error)
        if full is None:
            raise
        _show(full)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _show(error: ModelwrightError) -> None:
    if "--json" in sys.argv:
        click.echo(json.dumps({"error": output.error_facts(error)}, indent=2))
        return
    click.echo(click.style("error", fg="red", bold=True) + f" [{error.code}] {error}", err=True)
    if error.next_command:
        click.echo(f"  next: {error.next_command}", err=True)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    # As an exception, so that every block that has something to clear up does.
    sys.exit(_TERMINATED)
