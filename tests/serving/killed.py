"""A process that changes an endpoint and is killed on the way: `python killed.py WORKSPACE ENDPOINT CHANGE POINT`."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelwright.records import Placement
from modelwright.serving import control, deployments, transitions
from modelwright.serving.sharing import Shift
from modelwright.store import database, models


def killing(call: Callable[..., Any], *, is_after: bool) -> Callable[..., Any]:
    """Return a function that does the same, and ends this process before or after."""

    def killed(*given: Any, **named: Any) -> Any:
        if is_after:
            call(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return killed


def main(workspace: str, endpoint: str, change: str, point: str) -> None:
    """Make the change, up to the point."""
    store = database.open_store(Path(workspace))
    match point:
        case "started":
            control.deploy = killing(control.deploy, is_after=True)
        case "proven":
            control.share_out = killing(control.share_out, is_after=False)
        case "moved":
            control.share_out = killing(control.share_out, is_after=True)
        case "recorded":
            transitions._record = killing(transitions._record, is_after=True)
    version = models.find_version(store, "churn:2")
    if change == "replace":
        with deployments.deploying(store, version, endpoint=endpoint, actor="ada"):
            pass
    elif change == "beside":
        with deployments.deploying(store, version, endpoint=endpoint, actor="ada", placement=Placement(share=50)):
            pass
    elif change == "update":
        deployments.update(store, endpoint, "blue", version, actor="ada")
    else:
        deployments.shift_traffic(store, endpoint, Shift({"blue": 50}), actor="ada")


if __name__ == "__main__":
    main(*sys.argv[1:])
