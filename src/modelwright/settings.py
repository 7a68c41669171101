"""What the user's environment variables and the workspace's place say; nothing else reads either."""

import getpass
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from modelwright.errors import CommandMissing, SettingInvalid, WorkspaceMissing

WORKSPACE_FOLDER = ".wright"

# Variables that would point a child's Python at our packages instead of its own, or make every start of it a slow one.
_PYTHON_VARIABLES = frozenset(
    {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__", "PYTHONSTARTUP", "PYTHONDONTWRITEBYTECODE"}
)


def find_workspace(start: Path, *, named: str | None = None) -> Path:
    """Return the workspace `named`, else that of `WRIGHT_WORKSPACE`, else the nearest `.wright` at or above `start`.

    Raises WorkspaceMissing when it is not there.
    """
    named = named or os.environ.get("WRIGHT_WORKSPACE")
    if named:
        folders = [Path(named).expanduser().absolute()]
    else:
        folders = [folder / WORKSPACE_FOLDER for folder in (start.absolute(), *start.absolute().parents)]
    for folder in folders:
        if folder.is_dir():
            return folder
    raise WorkspaceMissing(folder=folders[0] if named else start.absolute())


def find_or_place_workspace(start: Path, *, named: str | None = None) -> Path:
    """Return the workspace as `find_workspace` does, or the place for a new one: as named, else `start/.wright`."""
    try:
        return find_workspace(start, named=named)
    except WorkspaceMissing:
        named = named or os.environ.get("WRIGHT_WORKSPACE")
        return Path(named).expanduser().absolute() if named else start.absolute() / WORKSPACE_FOLDER


def workspace_here(start: Path) -> Path:
    """Return the nearest `.wright` at or above `start`, else the place for a new one there, whatever was named."""
    folders = [folder / WORKSPACE_FOLDER for folder in (start.absolute(), *start.absolute().parents)]
    return next((each for each in folders if each.is_dir()), folders[0])


def workspace_url(named: str | None) -> str | None:
    """Return where the workspace is that `named`, else `WRIGHT_WORKSPACE`, says, when that is a URL; None elsewhere."""
    place = named or os.environ.get("WRIGHT_WORKSPACE") or ""
    return place.rstrip("/") if place.startswith(("http://", "https://")) else None


def token() -> str | None:
    """Return the token that workspaces elsewhere are asked with, as `WRIGHT_TOKEN` says: no history keeps it."""
    return os.environ.get("WRIGHT_TOKEN", "").strip() or None


def mlflow_token() -> str:
    """Return the token that a server of MLflow's asks for, as `MLFLOW_TRACKING_TOKEN` says: no history keeps it."""
    return os.environ.get("MLFLOW_TRACKING_TOKEN", "").strip()


def terminal() -> str:
    """Return what kind of terminal this is, as `TERM` says; else one that can do nothing."""
    return os.environ.get("TERM") or "dumb"


def user_folder() -> Path:
    """Return where we keep what is a user's own on this machine: below `XDG_CONFIG_HOME`, else `~/.config`."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "modelwright"


def actor() -> str:
    """Return who acts: `WRIGHT_ACTOR`, else the login name, else the user id."""
    named = os.environ.get("WRIGHT_ACTOR")
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def variable(name: str) -> str | None:
    """Return the environment variable that the user's code says it depends on; None when it is not set."""
    return os.environ.get(name)


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables for a process in another Python environment: ours without those that steer Python."""
    kept = {name: value for name, value in os.environ.items() if name not in _PYTHON_VARIABLES}
    return kept | dict(extra or {})


def snapshots_are_limited() -> bool:
    """Whether a run's code may be at most 300 MB and 2,000 files: yes, unless `WRIGHT_SNAPSHOT_NO_LIMIT` is set."""
    return os.environ.get("WRIGHT_SNAPSHOT_NO_LIMIT", "") in {"", "0"}


def event_hops() -> int:
    """Return how many events in a row led to this process, as `WRIGHT_EVENT_HOPS` says; 0 when it does not.

    Raises SettingInvalid when it is no whole number.
    """
    text = os.environ.get("WRIGHT_EVENT_HOPS") or "0"
    if not (text.isascii() and text.isdecimal()):
        raise SettingInvalid(name="WRIGHT_EVENT_HOPS", value=text, rule="a whole number")
    return int(text)


def notebook() -> str | None:
    """Return the path of the notebook whose kernel this is, as Jupyter says in `JPY_SESSION_NAME`; None elsewhere."""
    return os.environ.get("JPY_SESSION_NAME") or None


def own_environment() -> dict[str, str]:
    """Return the variables for another process of ours: all that we were given."""
    return dict(os.environ)


def runtime_folder(workspace: Path) -> Path:
    """Return a short, private folder for this workspace's sockets.

    A Unix socket's path may have at most 104 bytes on macOS and 108 on Linux, and workspaces lie deep; so the folder
    is named by a digest of the workspace's path.
    """
    from blake3 import blake3

    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    return base / f"wright-{os.getuid()}-{blake3(bytes(workspace.resolve())).hexdigest(length=6)}"


def scoring_timeout_ms() -> int:
    """Return how long an endpoint waits for a scoring script, in milliseconds: `SCORING_TIMEOUT_MS`, else a minute.

    Raises SettingInvalid when it is no positive whole number.
    """
    text = os.environ.get("SCORING_TIMEOUT_MS", "60000")
    if not text.isdecimal() or int(text) == 0:
        raise SettingInvalid(name="SCORING_TIMEOUT_MS", value=text, rule="a positive whole number of milliseconds")
    return int(text)


def endpoint_key() -> str | None:
    """Return the key that endpoints are asked with, as `WRIGHT_ENDPOINT_KEY` says, so that no history keeps it."""
    return os.environ.get("WRIGHT_ENDPOINT_KEY", "").strip() or None


def is_tracing() -> bool:
    """Whether traces are sent: `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` says where to."""
    return bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


def kept_for_ci(start: Path, *, named: str | None) -> dict[str, str]:
    """Return what a CI system would keep for a project: which workspace its jobs use, and with which token."""
    workspace = workspace_url(named) or str(find_or_place_workspace(start, named=named))
    return {"WRIGHT_WORKSPACE": workspace, "WRIGHT_TOKEN": token() or ""}


def uv_command() -> Path:
    """Return the uv program: beside our Python, else on the path. Raises CommandMissing."""
    return _command("uv", purpose="it locks and builds environments")


def ruff_command() -> Path:
    """Return the ruff program: beside our Python, else on the path. Raises CommandMissing."""
    return _command("ruff", purpose="it checks the code of projects")


def _command(name: str, *, purpose: str) -> Path:
    beside = Path(sys.executable).parent / name
    found = beside if beside.is_file() else shutil.which(name)
    if not found:
        raise CommandMissing(command=name, purpose=purpose, install=f"pip install {name}")
    return Path(found)


def interpreter(named: Path | None = None) -> Path:
    """Return the Python that the user's notebooks run in: `named`, else the active virtual environment's, else ours.

    Raises CommandMissing when `named` does not exist.
    """
    if named is not None:
        found = shutil.which(str(named))
        if not found:
            raise CommandMissing(
                command=named, purpose="notebooks and projects are to run in it", install="--python PATH/TO/python"
            )
        return Path(found).absolute()
    active = os.environ.get("VIRTUAL_ENV")
    if active and (Path(active) / "bin" / "python").exists():
        return Path(active) / "bin" / "python"
    return Path(sys.executable)
