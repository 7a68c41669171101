"""Guest: runs a notebook plainly in a fresh kernel with the recorder, and writes down what each cell showed.

`notebook_worker.py NOTEBOOK RECORDER RECORD ANSWER`, in the notebook's folder, with a Python that has nbclient.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.util import run_sync

CELL_SECONDS = 500
# Of what is no cell of the notebook.
_OWN_SECONDS = 120
_REPLY_SECONDS = 1.0
_MOST_LOOKS = 20


class LostReply(Exception):
    """The kernel has run a cell, and its reply was not found: nothing is known of the notebook."""


class _Client(NotebookClient):
    """A client that looks again for a reply: what a widget sends meanwhile hides from it that one has arrived."""

    async def _async_poll_for_reply(self, *asked: Any) -> Any:
        outputs, is_alive = asked[-2:]
        for _ in range(_MOST_LOOKS):
            reply = asyncio.ensure_future(super()._async_poll_for_reply(*asked))
            try:
                await asyncio.wait({reply, outputs}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait({reply}, timeout=_REPLY_SECONDS)
                if reply.done():
                    return reply.result()
            finally:
                reply.cancel()
            await asyncio.wait({reply})
        is_alive.cancel()
        raise LostReply


def _read(path: Path) -> Any:
    if path.suffix == ".py":
        import jupytext

        return jupytext.read(path)
    return nbformat.read(path, as_version=4)


def _results(cell: Any) -> list[str]:
    """Return the texts of bare last expressions; what is printed and displayed is noted by the recorder."""
    return [
        output["data"].get("text/plain", "")
        for output in cell.get("outputs", [])
        if output["output_type"] == "execute_result"
    ]


def _execute(client: _Client, code: str) -> Any:
    """Run what is no cell of the notebook, unseen by it."""
    run = run_sync(client.kc.execute_interactive)  # type: ignore[union-attr]  # set while the kernel runs
    try:
        return run(code, silent=True, store_history=False, timeout=_OWN_SECONDS)
    except TimeoutError as error:
        raise LostReply from error


def main() -> None:
    """Run the notebook and write the answer: whether it ran, its cells, and what their last expressions showed."""
    notebook, recorder, record, answer = (Path(each) for each in sys.argv[1:5])
    content = _read(notebook)
    client = _Client(
        content, timeout=CELL_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(notebook.parent)}}
    )
    install = (
        "import importlib.util as _u, sys as _s\n"
        f"_p = _u.spec_from_file_location('_judge_recorder', {str(recorder)!r})\n"
        "_m = _u.module_from_spec(_p); _s.modules['_judge_recorder'] = _m; _p.loader.exec_module(_m)\n"
        f"_m.RECORD = _m.install({str(record)!r})\n"
        "del _u, _s, _p, _m\n"
    )
    finish = "__import__('sys').modules['_judge_recorder'].RECORD.finish()"
    seen: dict[str, Any] = {"ok": True, "error": "", "cells": []}
    begun = time.monotonic()
    try:
        with client.setup_kernel():
            reply = _execute(client, install)
            if reply["content"]["status"] != "ok":
                sys.exit(f"the recorder could not be installed: {reply['content']}")
            for place, cell in enumerate(content.cells):
                client.execute_cell(cell, place)
            _execute(client, finish)
    except LostReply:
        sys.exit("a reply was lost")  # without an answer: it is asked again
    except Exception as error:  # noqa: BLE001 - whatever stops a notebook is the answer
        seen.update(ok=False, error=f"{getattr(error, 'ename', type(error).__name__)}: {error}"[-600:])
    seen["seconds"] = round(time.monotonic() - begun, 1)
    count = 0
    code_count = 0
    for place, cell in enumerate(content.cells, 1):
        if cell.cell_type != "code":
            continue
        code_count += 1
        if not cell.source.strip():
            continue
        count += 1
        numbers = {"run": count, "place": place, "code_place": code_count}
        seen["cells"].append({**numbers, "source": cell.source, "results": _results(cell)})
    answer.write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    main()
