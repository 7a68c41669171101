"""`make api`: thousands of requests that schemathesis makes of the OpenAPI document, to a real server.

The workspace has something of every noun in it: a project that was published, run and registered, a version that was
deployed, asked and stopped. Every request has the owner's token, so that nothing is refused for who asks. It fails when
anything is answered with 5xx, when an answer is not as the document says, or when the audit is no longer whole.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import conftest
from api import world

from modelwright.api import server
from modelwright.lifecycle import background, deploying, publishing, registering
from modelwright.lifecycle.sessions import Session
from modelwright.models.registry import Labels
from modelwright.records import Placement, Role
from modelwright.serving import deployments
from modelwright.store import audit, rules, tokens
from modelwright.store.database import open_store

_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
HOOKS = Path(__file__).with_name("fuzzing_hooks.py")


def prepare(folder: Path) -> tuple[Session, dict[str, list[object]]]:
    """Make the workspace, with things that really ran beside those that are only on record."""
    project = conftest.write_project(folder)
    session = Session(open_store(folder / ".wright"), "ada")
    names = world.furnish(session, project)
    trained = publishing.run_published(session, "small", overrides={"alpha": 0.25})
    order = registering.of_run(
        session.store, trained.run.id, model="small", paths=(), environment=None, labels=Labels()
    )
    registering.register(session, order)
    done = deploying.deploy(session, "small:1", endpoint="real", placement=Placement())
    deployments.score(session.store, done.endpoint.name, body=b'{"data": [1, 2]}')
    deployments.stop(session.store, "real", actor="ada")
    names = {name: [*values] for name, values in names.items()}
    names["run_id"].append(trained.run.id)
    for each in ("name", "endpoint"):
        names[each] += ["small", "real"]
    return session, names


def main() -> None:
    """Make the workspace, serve it, and let schemathesis ask about so many times for each operation."""
    schemathesis, examples = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="wright-api-") as place:
        session, names = prepare(Path(place))
        with session.change() as opened:
            token = tokens.add_token(opened, "owner", role=Role.OWNER)
            rules.set_rule(opened, rules.LOOPBACK_TRUST, "off")
        url = server.start(session.store)
        command = [schemathesis, "run", f"{url}/openapi.json", "--checks", ",".join(_CHECKS)]
        command += ["--header", f"Authorization: Bearer {token}", "--max-examples", str(examples)]
        command += ["--phases", "examples,coverage,fuzzing", "--generation-deterministic", "--continue-on-failure"]
        command += ["--request-timeout", "120", "--suppress-health-check", "all", "--warnings", "off"]
        environment = os.environ | {"SCHEMATHESIS_HOOKS": str(HOOKS), "WRIGHT_NAMES": json.dumps(names)}
        try:
            done = subprocess.run(command, env=environment, check=False, cwd=place, text=True, stdout=subprocess.PIPE)
        finally:
            server.stop(session.store)
        print(done.stdout)
        log = (session.store.folder / background.LOG).read_text(errors="replace")
        faults = len(re.findall(r"^Traceback", log, re.MULTILINE))
        whole = audit.check(session.store)
        print(f"tracebacks in the server's log: {faults}; audit records: {whole.count}, {whole.fault or 'whole'}")
        if faults:
            print(log[-20_000:])
        sys.exit(done.returncode or bool(faults or whole.fault))


if __name__ == "__main__":
    main()
