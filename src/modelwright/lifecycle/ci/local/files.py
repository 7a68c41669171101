"""Reads a workflow file of any of the systems."""

from pathlib import Path
from typing import Any

import yaml

from modelwright.errors import WorkflowUnknown
from modelwright.lifecycle.ci.local import azure, github, gitlab
from modelwright.lifecycle.ci.local.workflow import Situation, Workflow

_GITLAB_FILE = ".gitlab-ci.yml"


def read(path: Path, situation: Situation) -> Workflow:
    """Return the workflow of a file. Raises WorkflowUnknown for what is not known here."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise WorkflowUnknown(path=path, reason=str(error).replace("\n", " ")) from error
    if not isinstance(content, dict):
        raise WorkflowUnknown(path=path, reason="it is no workflow")
    reader: Any = gitlab
    if path.name != _GITLAB_FILE and not path.name.endswith(f"-{_GITLAB_FILE.lstrip('.')}"):
        reader = github if "jobs" in content and (True in content or "on" in content) else azure
    try:
        found: Workflow = reader.read(path, content, situation)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        told = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise WorkflowUnknown(path=path, reason=told) from error
    return found
