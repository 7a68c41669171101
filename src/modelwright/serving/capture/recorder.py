"""Records what was asked and answered, before it is answered."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from modelwright.errors import CaptureNotWritten
from modelwright.records import CaptureMode, CaptureRecord, CaptureSettings, Exchange
from modelwright.serving.capture.lines import Writer, body_as_text

_LOG = logging.getLogger(__name__)


class Recorder:
    """Keeps the requests of one endpoint."""

    def __init__(self, folder: Path, settings: CaptureSettings) -> None:
        """Write below `folder`."""
        self._writer = Writer(folder)
        self._settings = settings

    def configure(self, settings: CaptureSettings) -> None:
        """Go on as `settings` say."""
        self._settings = settings

    def record(self, exchange: Exchange, done: Callable[[bool], None]) -> None:
        """Record a request; `done` is called with whether it may be answered, once its record is as safe as is said."""
        if self._settings.mode is CaptureMode.OFF:
            done(True)  # noqa: FBT003 - the one thing it is told
            return
        text, is_base64 = body_as_text(exchange.input)
        record = CaptureRecord(
            request_id=exchange.request_id,
            received_at=datetime.fromtimestamp(exchange.received_at, UTC),
            version=exchange.version or None,
            status=exchange.status,
            duration_ms=exchange.duration_ms,
            input=text,
            is_base64=is_base64,
            output=exchange.output.decode(errors="replace"),
        )
        try:
            self._writer.append(record)
        except CaptureNotWritten as error:
            # What is answered is recorded: a model that serves unseen is worse than one that says it cannot.
            _LOG.error("refused, since it cannot be recorded: %s", error, extra={"request_id": exchange.request_id})
            done(not self._settings.is_refusing)
        else:
            done(True)  # noqa: FBT003 - the one thing it is told

    def close(self) -> None:
        """Write what waits and close the file."""
        self._writer.close()
