"""What each command takes of who gives it from elsewhere: a role; and which of its words are files, of which side."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelwright.records import Role


def _asks(given: Mapping[str, Any]) -> bool:
    """Whether a secret is to be read from standard input."""
    return bool(given["secret"] == "-")  # noqa: S105 - the sign for that


def _never(_given: Mapping[str, Any]) -> bool:
    return False


@dataclass(frozen=True)
class Right:
    """The role that a command takes, and what its parameters mean from elsewhere.

    `reads` and `writes` are the user's files. `may_read` are files where the user has one of that name, else something
    else, such as a run's id. `there` says something of the server's own, such as its files and addresses: an owner's.
    """

    role: Role
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    may_read: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    reads_input: Callable[[Mapping[str, Any]], bool] = _never


_READER, _CONTRIBUTOR, _DEPLOYER, _OWNER = (
    Right(each) for each in (Role.READER, Role.CONTRIBUTOR, Role.DEPLOYER, Role.OWNER)
)
# What only makes sense where the workspace, or the user's notebooks and terminal, are; and what to do instead.
LOCAL = {
    "ship": "wright run start PROJECT trains a converted project there",
    "lint": "it needs no workspace: wright lint NOTEBOOK",
    "convert": "convert here, then: wright run start PROJECT",
    "new": "make it here, then: wright run start PROJECT",
    "prove": "prove it here, then: wright run start PROJECT",
    "test": "it needs no workspace: wright test PROJECT",
    "ci init": "it needs no workspace: wright ci init PROJECT",
    "ci quality": "it needs no workspace: wright ci quality PROJECT",
    "ci run": "run the stages here, with --workspace at each of them",
    "ci hook install": "install it on the machine where the workspace is",
    "ci hook remove": "remove it on the machine where the workspace is",
    "watch": "watch on the machine where the workspace is",
    "endpoint run": "wright endpoint deploy MODEL:VERSION",
    "endpoint top": "wright endpoint show NAME",
    "up": "start it on the machine where the workspace is",
    "down": "stop it on the machine where the workspace is",
    "login": "wright login URL",
    "logout": "wright logout URL",
}

RIGHTS: Mapping[str, Right] = {
    "run list": _READER,
    "run show": _READER,
    "run diff": _READER,
    "run start": Right(Role.CONTRIBUTOR, reads=("project",)),
    "run resume": _CONTRIBUTOR,
    "run cancel": _CONTRIBUTOR,
    "run tag": _CONTRIBUTOR,
    "run note": _CONTRIBUTOR,
    "run delete": _CONTRIBUTOR,
    "environment list": _READER,
    "environment show": _READER,
    "environment diff": _READER,
    "environment export": Right(Role.READER, writes=("place",), there=("python",)),
    "environment add": Right(Role.CONTRIBUTOR, reads=("file",), there=("python",)),
    "environment build": Right(Role.CONTRIBUTOR, there=("python",)),
    "environment remove": _CONTRIBUTOR,
    "environment delete": _CONTRIBUTOR,
    "pipeline list": _READER,
    "pipeline show": _READER,
    "pipeline diff": _READER,
    "pipeline clone": Right(Role.READER, writes=("folder",)),
    "pipeline publish": Right(Role.CONTRIBUTOR, reads=("project",)),
    "pipeline run": _CONTRIBUTOR,
    "pipeline enable": _CONTRIBUTOR,
    "pipeline disable": _CONTRIBUTOR,
    "pipeline delete": _CONTRIBUTOR,
    "schedule list": _READER,
    "schedule show": _READER,
    "schedule add": Right(Role.CONTRIBUTOR, there=("on_new_data",)),
    "schedule enable": _CONTRIBUTOR,
    "schedule disable": _CONTRIBUTOR,
    "schedule remove": _CONTRIBUTOR,
    "schedule run-now": _CONTRIBUTOR,
    "schedule tick": _CONTRIBUTOR,
    "sweep show": _READER,
    "sweep start": Right(Role.CONTRIBUTOR, reads=("project",)),
    "model list": _READER,
    "model show": _READER,
    "model history": _READER,
    "model verify": _READER,
    "model download": Right(Role.READER, writes=("folder",)),
    "model export": Right(Role.READER, writes=("file",)),
    "model import": Right(Role.CONTRIBUTOR, reads=("file",)),
    # An address is asked from the server, whatever it can reach.
    "import mlflow": Right(Role.OWNER, reads=("roots",), may_read=("place",)),
    "model register": Right(Role.CONTRIBUTOR, reads=("score", "sample"), may_read=("sources",)),
    "model explain": Right(Role.CONTRIBUTOR, reads=("rows",), writes=("html",), may_read=("data",)),
    "model alias": _CONTRIBUTOR,
    "model unalias": _CONTRIBUTOR,
    "model tag": _CONTRIBUTOR,
    "model property add": _CONTRIBUTOR,
    "model describe": _CONTRIBUTOR,
    "model rename": _CONTRIBUTOR,
    "model delete": _CONTRIBUTOR,
    "reproduce": _CONTRIBUTOR,
    "why": Right(Role.READER, writes=("page", "drawing")),
    "impact": Right(Role.READER, writes=("page", "drawing")),
    "dataset list": _READER,
    "dataset show": _READER,
    "dataset users": _READER,
    "dataset verify": _READER,
    "dataset export": Right(Role.READER, writes=("folder",)),
    "dataset profile": _CONTRIBUTOR,
    "dataset add": Right(Role.CONTRIBUTOR, may_read=("path",), there=("source",)),
    "dataset tag": _CONTRIBUTOR,
    "dataset delete": _CONTRIBUTOR,
    "endpoint list": _READER,
    "endpoint show": _READER,
    "endpoint history": _READER,
    "endpoint keys": _READER,
    "endpoint logs": _READER,
    "endpoint score": Right(
        Role.CONTRIBUTOR,
        reads=("path",),
        reads_input=lambda given: given["data"] is None and given["path"] is None,
    ),
    "endpoint deploy": Right(Role.DEPLOYER, there=("host",)),
    "endpoint reload": Right(Role.DEPLOYER, reads=("script",)),
    "endpoint grpc": Right(Role.DEPLOYER, there=("host",)),
    "endpoint regenerate": Right(Role.DEPLOYER, reads_input=lambda given: given["key"] == "-"),
    "endpoint restart": _DEPLOYER,
    "endpoint revoke": _DEPLOYER,
    "endpoint rollback": _DEPLOYER,
    "endpoint scale": _DEPLOYER,
    "endpoint set": _DEPLOYER,
    "endpoint stop": _DEPLOYER,
    "endpoint token": _DEPLOYER,
    "endpoint traffic": _DEPLOYER,
    "endpoint undeploy": _DEPLOYER,
    "endpoint update": _DEPLOYER,
    "endpoint delete": _DEPLOYER,
    "rollout list": _READER,
    "rollout show": _READER,
    "rollout verdict": _READER,
    "rollout report": Right(Role.READER, writes=("path",)),
    "rollout start": _DEPLOYER,
    "rollout pause": _DEPLOYER,
    "rollout resume": _DEPLOYER,
    "rollout promote": _DEPLOYER,
    "rollout abort": _DEPLOYER,
    "capture list": _READER,
    "capture show": _READER,
    "capture stats": _READER,
    "capture export": Right(Role.READER, writes=("file",)),
    "capture label": Right(Role.CONTRIBUTOR, reads=("file",)),
    "capture dataset": _CONTRIBUTOR,
    "capture compact": _DEPLOYER,
    "capture delete": _DEPLOYER,
    "capture set": _DEPLOYER,
    "event list": _READER,
    "event subscriptions": _READER,
    "event show": _READER,
    "event deliveries": _READER,
    "event subscribe": Right(
        Role.DEPLOYER,
        there=("command", "file", "allow_private", "smtp_server"),
        reads_input=_asks,
    ),
    "event unsubscribe": _DEPLOYER,
    "event pause": _DEPLOYER,
    "event resume": _DEPLOYER,
    "event test": _DEPLOYER,
    "event replay": _DEPLOYER,
    "event rotate": Right(Role.DEPLOYER, reads_input=_asks),
    "audit list": _READER,
    "audit export": Right(Role.READER, writes=("file",)),
    "audit verify": Right(Role.READER, reads=("file",)),
    "at": _READER,
    "ci publish": Right(Role.CONTRIBUTOR, reads=("project",), writes=("outputs",)),
    "ci train": Right(Role.CONTRIBUTOR, reads=("project",), writes=("outputs",)),
    "ci published": Right(Role.READER, reads=("project",), writes=("into",)),
    "ci find": Right(Role.READER, reads=("project",), writes=("outputs",)),
    "ci deploy": Right(Role.DEPLOYER, reads=("project",)),
    "ci smoke": Right(Role.CONTRIBUTOR, reads=("project",), there=("url",)),
    "ci rollback": Right(Role.DEPLOYER, reads=("project",)),
    "ci release": Right(Role.DEPLOYER, reads=("project",)),
    "ci ingest": Right(Role.CONTRIBUTOR, reads=("project",), writes=("outputs",)),
    "ci ingested": Right(Role.CONTRIBUTOR, reads=("project",)),
    "approve": _DEPLOYER,
    "approvals": _READER,
    "settings list": _READER,
    "settings set": _OWNER,
    "settings unset": _OWNER,
    "token create": _OWNER,
    "token list": _OWNER,
    "token revoke": _OWNER,
    "gc": _OWNER,
    "doctor": _READER,
}
