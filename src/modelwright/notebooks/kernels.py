"""A notebook's kernel: a process of the user's Python that ends with us, and a client that no lost message stops."""

import asyncio
import contextlib
import functools
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelwright import processes
from modelwright.errors import CommandTimedOut, KernelMissing
from modelwright.notebooks import seeds

_START_SECONDS = 120.0
# A reply comes at once when the kernel has told that it is done. Where it does not, it is looked for so often: what is
# sent to a widget meanwhile can hide from the event loop that a message has arrived.
_REPLY_SECONDS = 1.0
_MOST_LOOKS = 20


class Stalled(Exception):
    """The kernel has done what it was asked, and its reply was lost: some fail to send one, once in a long while."""

    cell = 0


def version(python: Path, *, folder: Path, environment: Mapping[str, str]) -> str:
    """Return the Python version of `python`. Raises KernelMissing when it cannot start a kernel."""
    folder.mkdir(parents=True, exist_ok=True)
    # Found rather than imported: an import takes a second, and the kernel does it anyway.
    code = "import platform, importlib.util as u; u.find_spec('ipykernel').name; print(platform.python_version())"
    try:
        done = processes.run(
            [python, "-c", code], folder=folder, environment=environment, timeout_seconds=_START_SECONDS
        )
    except CommandTimedOut as error:
        raise KernelMissing(python=python) from error
    if done.returncode:
        raise KernelMissing(python=python)
    return done.stdout.strip()


@functools.cache
def _client_class() -> Any:
    """Return nbclient's client, which waits without end for a reply that does not come, with a limit to that."""
    from nbclient import NotebookClient

    class Client(NotebookClient):
        async def _async_poll_for_reply(self, *asked: Any) -> Any:
            task_poll_output_msg, task_poll_kernel_alive = asked[-2:]
            for _ in range(_MOST_LOOKS):
                reply = asyncio.ensure_future(super()._async_poll_for_reply(*asked))
                try:
                    await asyncio.wait({reply, task_poll_output_msg}, return_when=asyncio.FIRST_COMPLETED)
                    await asyncio.wait({reply}, timeout=_REPLY_SECONDS)
                    if reply.done():
                        return reply.result()
                finally:
                    reply.cancel()
                await asyncio.wait({reply})
            task_poll_kernel_alive.cancel()
            raise Stalled

    return Client


@contextlib.contextmanager
def kernel(python: Path, folder: Path, *, environment: Mapping[str, str], timeout_seconds: float) -> Iterator[Any]:
    """Start a kernel that ends with us; give the client that runs cells in it."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from nbformat.v4 import new_notebook

    command: list[str | Path] = [python, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    # The guard ends the kernel when this pipe's writing end closes, as it does when we die.
    reading, writing = os.pipe()
    with tempfile.TemporaryDirectory(prefix="wright-kernel-") as private:
        # Sockets in a private folder rather than TCP ports: nobody else on the machine can talk to the kernel.
        manager = AsyncKernelManager(
            connection_file=str(Path(private, "kernel.json")), transport="ipc", ip=str(Path(private, "ipc"))
        )
        manager._kernel_spec = KernelSpec(  # noqa: SLF001 - the manager looks up installed specs only; ours is not
            argv=processes.guarded(command), display_name="Python 3", language="python"
        )
        client = _client_class()(
            new_notebook(),
            km=manager,
            timeout_func=lambda _cell: timeout_seconds,
            kernel_name="python3",
            startup_timeout=int(_START_SECONDS),
        )
        # The user's own start-up files and history must not take part, nor be written to.
        variables = {**environment, "IPYTHONDIR": private, "PYTHONHASHSEED": str(seeds.SEED)}
        variables["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
        group = 0
        try:
            with client.setup_kernel(
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=str(folder),
                env=variables,
                cleanup_kc=True,
            ):
                provisioned: Any = manager.provisioner
                group = os.getpgid(provisioned.pid)
                yield client
        finally:
            # Asked to end above; a kernel that could not, being busy, is made to, with what it started.
            with contextlib.suppress(ProcessLookupError):
                if group:
                    os.killpg(group, signal.SIGKILL)
            os.close(reading)
            os.close(writing)
