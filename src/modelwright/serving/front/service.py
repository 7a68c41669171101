"""What an endpoint is made of while it serves, and how that is changed without a request being refused."""

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright.records import FrontSettings, Traffic, WorkerSpec
from modelwright.records.decoding import decoded
from modelwright.serving.capture import collecting
from modelwright.serving.capture.recorder import Recorder
from modelwright.serving.front.access import Guard
from modelwright.serving.front.contract import Scoring
from modelwright.serving.front.fused import Fused
from modelwright.serving.front.routing import Router
from modelwright.serving.front.standings import Standings
from modelwright.serving.front.versions import Version

_LOG = logging.getLogger(__name__)
_LOG_TAIL_BYTES = 8192


class Service:
    """The deployments of an endpoint, their traffic, and who may ask."""

    def __init__(self, settings: FrontSettings, *, recorder: Recorder, log: Path) -> None:
        """Begin with nothing deployed."""
        self.settings = settings
        self.router = Router()
        self.scoring = Scoring(
            router=self.router,
            recorder=recorder,
            guard=Guard(settings.access),
            settings=settings,
        )
        self.standings = Standings(self.router, on_change=self.scoring.end_short_ways)
        self._log = log
        self._closing: set[asyncio.Task[None]] = set()
        self._changing: Version | None = None

    async def obey(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out a command and return what there is to tell of it."""
        try:
            return await self._obeyed(command)
        finally:
            self.scoring.end_short_ways()

    async def _obeyed(self, command: Mapping[str, Any]) -> dict[str, Any]:
        match command["command"]:
            case "deploy":
                return await self._deploy(
                    decoded(WorkerSpec, command["worker"]),
                    timeout_seconds=float(command["timeout_seconds"]),
                    is_replacing=bool(command["is_replacing"]),
                )
            case "traffic":
                told = self._share_out(command)
            case "renew":
                told = {"held": self.standings.lease.renew(float(command["seconds"]))}
            case "observe":
                told = self.standings.told()
            case "retire":
                told = self._retire(command["deployment"])
            case "restart" | "scale":
                told = await self._change(command)
            case "configure":
                told = self._configure(decoded(FrontSettings, command["settings"]))
            case "admit":
                self.scoring.guard.admit(command["digest"], seconds=float(command["seconds"]))
                told = {}
            case other:
                told = {"refused": f"it knows no command {other!r}"}
        return told

    def forget_change(self) -> None:
        """Let the next change begin: what the last one started is being ended, and need not be waited for."""
        self._changing = None

    async def close(self, *, drain_seconds: float) -> None:
        """Let every version finish what it owes, end all of them, and write what is to be recorded."""
        versions = list(self.router.versions.values())
        self.router.versions.clear()
        await asyncio.gather(*(each.close(drain_seconds=drain_seconds) for each in versions))
        if self._closing:
            await asyncio.wait(self._closing)
        await self.scoring.recorder.close()

    async def _deploy(self, spec: WorkerSpec, *, timeout_seconds: float, is_replacing: bool) -> dict[str, Any]:
        """Bring up the version beside those here; when it has proven itself it takes its name's place, or all."""
        if self._changing is not None:
            return {"busy": True}
        log_start = _length(self._log)
        spec = replace(spec, model_data=collecting.folder_of(self.scoring.recorder.folder))
        kind = Version if spec.fused is None or spec.is_local or spec.is_attached else Fused
        self._changing = version = kind(spec, log=self._log, timeout_ms=self.settings.timeout_ms)
        version.be_patient(timeout_ms=self.settings.timeout_ms, max_wait_ms=self.settings.limits.max_wait_ms)
        try:
            answer = await version.open(timeout_seconds=timeout_seconds)
        except (ModelwrightError, OSError) as error:
            _LOG.warning("%s was not deployed: %s", spec.version, _reason(error))
            return {"failed": _reason(error), "log_tail": _tail(self._log, log_start)}
        finally:
            if self._changing is version:
                self._changing = None
        router, before = self.router, self.router.default
        replaced = [router.versions[spec.deployment]] if spec.deployment in router.versions else []
        router.versions[spec.deployment] = version
        if is_replacing:
            replaced += [each for name, each in router.versions.items() if name != spec.deployment]
            router.versions = {spec.deployment: version}
            self.standings.share_out(Traffic(default=spec.deployment, sticky_header=router.traffic.sticky_header))
            self.standings.lease.hold(None, 0.0)
        for each in replaced:
            self._close(each)
        _LOG.info("%s serves; replaced: %s", spec.version, ", ".join(each.spec.version for each in replaced) or "none")
        was = before.spec.version if before is not None and before in replaced else None
        return {"replaced": was, "answer": answer}

    def _share_out(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Share out requests like that; when there is a fallback, only for as long as somebody confirms it."""
        traffic = decoded(Traffic, command["traffic"])
        fallback = decoded(Traffic, command["fallback"]) if command.get("fallback") else None
        unknown = (traffic.split().keys() | traffic.shadows.keys()) - self.router.versions.keys()
        if unknown:
            return {"unknown": sorted(unknown)}
        self.standings.share_out(traffic)
        self.standings.lease.hold(fallback, float(command.get("lease_seconds", 0.0)))
        return {}

    def _retire(self, deployment: str) -> dict[str, Any]:
        version = self.router.versions.pop(deployment, None)
        if version is None:
            return {"unknown": [deployment]}
        self._close(version)
        return {}

    async def _change(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Restart or scale a deployment, while it serves."""
        version = self.router.versions.get(command["deployment"])
        if version is None:
            return {"unknown": [command["deployment"]]}
        if self._changing is not None:
            return {"busy": True}
        log_start = _length(self._log)
        self._changing = version
        try:
            await (version.scale(int(command["workers"])) if command["command"] == "scale" else version.restart())
        except (ModelwrightError, OSError) as error:
            return {"failed": _reason(error), "log_tail": _tail(self._log, log_start)}
        finally:
            self._changing = None
        return {}

    def _configure(self, settings: FrontSettings) -> dict[str, Any]:
        try:
            self.scoring.recorder.configure(settings.capture)
        except OSError as error:
            return {"unwritable": str(self.scoring.recorder.folder.parent), "reason": error.strerror or str(error)}
        self.settings = settings
        self.scoring.guard.configure(settings.access)
        self.scoring.timeout_ms = settings.timeout_ms
        self.scoring.limits = settings.limits
        for each in self.router.versions.values():
            each.be_patient(timeout_ms=settings.timeout_ms, max_wait_ms=settings.limits.max_wait_ms)
        return {}

    def _close(self, version: Version) -> None:
        """Let a version that gets no more requests finish what it owes, and end it."""
        closing = asyncio.create_task(version.close(drain_seconds=self.settings.timeout_ms / 1000 + 1))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


def _reason(error: ModelwrightError | OSError) -> str:
    """Return why something failed, without what it was, which those who are told know."""
    return str(error.facts.get("reason", error) if isinstance(error, ModelwrightError) else error)


def _length(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _tail(log: Path, start: int) -> str:
    """Return the end of what was logged since the log had `start` bytes."""
    with log.open("rb") as lines:
        end = lines.seek(0, os.SEEK_END)
        # A log that is shorter now was begun anew meanwhile.
        lines.seek(max(start if start <= end else 0, end - _LOG_TAIL_BYTES))
        return lines.read().decode(errors="replace")
