"""Where everything lies that is measured: environments, models, compiled programs, ports; made when it is missing."""

import itertools
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
APPS, FLOORS = HERE / "apps", HERE / "floors"
# Of every environment: the models are unpickled in all of them, so they are one version in all of them.
SCIENCE = ("scikit-learn==1.7.2", "numpy==2.2.6", "scipy==1.15.3")
PYTHON = "3.11"
MODELS = {"m1": "Ridge", "m2": "HistGradientBoosting", "m3": "RandomForest"}
SERVER_CORE, CLIENT_CORE = 0, 1
_UV = Path(sys.executable).with_name("uv")
# One thread each: on a machine of two cores, teams of threads only wait for each other.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# Below those that the system gives to connections on their way out.
_PORTS = itertools.cycle(range(21_000, 29_000, 3))
VARIABLES = {**os.environ, **dict.fromkeys(_THREADS, "1"), "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Ground:
    """A folder that keeps what takes long to make."""

    folder: Path

    def environment(self, name: str, packages: tuple[str, ...], *others: str | Path) -> Path:
        """Return the environment called `name`, made with `packages` and what all have when there is none yet."""
        place = self.folder / name
        stamp = place / "packages.txt"
        wanted = "\n".join((*packages, *map(str, others)))
        if stamp.is_file() and stamp.read_text() == wanted:
            return place
        shutil.rmtree(place, ignore_errors=True)
        quietly([_UV, "venv", "--quiet", "--python", PYTHON, place])
        quietly([_UV, "pip", "install", "--quiet", "--python", place / "bin/python", *packages, *others])
        # Byte code is written now, as pip does, not at the first start, which is measured.
        quietly([place / "bin/python", "-m", "compileall", "-q", "-x", "/tests?/", place / "lib"], is_checked=False)
        stamp.write_text(wanted)
        return place

    def model(self, name: str) -> Path:
        """Return the folder of a model, trained when there is none yet."""
        folder = self.folder / "models"
        if not (folder / "r3/answers-400.json").is_file():
            python = self.environment("science", SCIENCE) / "bin/python"
            quietly([python, HERE / "models.py", folder])
        return folder / name

    def program(self, source: Path) -> Path:
        """Return the compiled program of a C source."""
        place = self.folder / source.stem
        if not place.exists() or place.stat().st_mtime < source.stat().st_mtime:
            self.folder.mkdir(parents=True, exist_ok=True)
            quietly(["gcc", "-O2", "-Wall", "-Wextra", "-o", place, source])
        return place

    def scratch(self, name: str) -> Path:
        """Return an empty folder."""
        place = self.folder / "scratch" / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        return place


def default_folder() -> Path:
    """Return where the ground is when nobody says."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelwright-benchmarks" / "serving"


def quietly(command: list[str | Path], *, is_checked: bool = True) -> str:
    """Run a command to its end and return what it printed; when it fails, say what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=VARIABLES)  # noqa: S603 - ours
    if is_checked and done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def free_port() -> int:
    """Return a port that nobody listens on, nor on the two after it; another one each time."""
    while True:
        port = next(_PORTS)
        try:
            for each in range(port, port + 3):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", each))
        except OSError:
            continue
        return port
