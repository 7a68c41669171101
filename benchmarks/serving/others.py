"""The servers that users would pick instead, each in its own environment, and the floors that no server gets below.

Versions are pinned to those that were measured. Every one gets the same numbers and is to give the same numbers back.
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ground import APPS, FLOORS, SCIENCE, Ground, free_port, quietly
from servers import Rows, Running, Server, launch

_FASTAPI = ("fastapi==0.165.0", "uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0", "orjson==3.13.0")
_PACKAGES = {
    "fastapi": _FASTAPI,
    "azureml": ("azureml-inference-server-http==1.5.1",),
    "litserve": ("litserve==0.2.19",),
    # With the uvloop of today every worker process of MLServer dies at its start.
    "mlserver": ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop<0.22"),
    "mlflow": ("mlflow==3.17.2",),
    "bentoml": ("bentoml==1.4.40",),
    "ray": ("ray[serve]==2.60.0",),
}
# A program of an environment with its arguments, given the ground, the model's folder, a port and a folder for itself.
Command = Callable[[Ground, Path, int, Path], list[str | Path]]


def environment(name: str, ground: Ground) -> Path:
    """Return a peer's environment."""
    return ground.environment(name, (*SCIENCE, *_PACKAGES[name]))


def _start(
    kind: str, command: Command, ground: Ground, model: str, *, variables: Mapping[str, str] | None = None
) -> Running:
    place, port = environment(kind, ground), free_port()
    scratch = ground.scratch(f"{kind}-{port}")
    program, *arguments = command(ground, ground.model(model), port, scratch)
    own = {
        "PATH": f"{place / 'bin'}:/usr/bin:/bin",
        "MODEL": str(ground.model(model) / "model.pkl"),
        "RESPONSE": str(_response(ground, model)),
    }
    log = ground.folder / "logs" / f"{kind}-{model}.log"
    log.parent.mkdir(exist_ok=True)
    told = own | dict(variables or {})
    return launch([place / "bin" / program, *arguments], port=port, log=log, variables=told, folder=scratch)


def _response(ground: Ground, model: str) -> Path:
    """Return a file with what the echoes answer: as many bytes as an answer of one row has."""
    path = ground.folder / "models" / f"{model}-response.json"
    if not path.exists():
        path.write_text('{"result": ' + (ground.model(model) / "answers-1.json").read_text() + "}")
    return path


def _uvicorn(app: str, *options: str) -> Command:
    return lambda _ground, _model, port, _scratch: [
        "uvicorn",
        *("--app-dir", (APPS if app != "asgi_echo" else FLOORS)),
        f"{app}:app",
        *("--port", str(port), *options),
    ]


def _azureml(_ground: Ground, model: Path, port: int, _scratch: Path) -> list[str | Path]:
    return ["azmlinfsrv", "--entry_script", APPS / "score.py", "--model_dir", model, "--port", str(port)]


def _mlflow(ground: Ground, model: Path, port: int, scratch: Path) -> list[str | Path]:
    python = environment("mlflow", ground) / "bin/python"
    quietly([python, APPS / "mlflow_model.py", model / "model.pkl", scratch / "model"])
    options = ["--env-manager", "local", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    return ["mlflow", "models", "serve", "--model-uri", scratch / "model", *options]


def _mlserver(workers: int) -> Command:
    def command(ground: Ground, model: Path, port: int, scratch: Path) -> list[str | Path]:
        python = environment("mlserver", ground) / "bin/python"
        quietly([python, APPS / "mlserver_model.py", model / "model.pkl", scratch, str(port), str(workers)])
        return ["mlserver", "start", scratch]

    return command


def _bentoml(_ground: Ground, _model: Path, port: int, _scratch: Path) -> list[str | Path]:
    return ["bentoml", "serve", "bento:Scoring", "--working-dir", APPS, "--host", "127.0.0.1", "--port", str(port)]


def _script(name: str) -> Command:
    return lambda _ground, _model, port, _scratch: ["python", APPS / name, str(port)]


def _inference_protocol(rows: Rows) -> object:
    flat = [number for row in rows for number in row]
    return {"inputs": [{"name": "x", "shape": [len(rows), len(rows[0])], "datatype": "FP64", "data": flat}]}


def _outputs(answer: Any) -> list[float]:
    numbers: list[float] = answer["outputs"][0]["data"]
    return numbers


def _predictions(answer: Any) -> list[float]:
    numbers: list[float] = answer["predictions"]
    return numbers


def _peer(
    name: str, title: str, kind: str, command: Command, *, variables: Mapping[str, str] | None = None, **facts: Any
) -> Server:
    start = functools.partial(_start, kind, command, variables=variables)
    return Server(name, title, start, functools.partial(environment, kind), **facts)


def _echo_in_c(ground: Ground, model: str) -> Running:
    port = free_port()
    command: list[str | Path] = [
        ground.program(FLOORS / "echo.c"),
        str(port),
        str(_response(ground, model).stat().st_size),
    ]
    return launch(command, port=port, log=Path("/dev/null"), folder=ground.folder)


_FAST = ("--loop", "uvloop", "--http", "httptools", "--no-access-log")
NAIVE = _peer("naive", "FastAPI as first written", "fastapi", _uvicorn("naive"))
TUNED = _peer("tuned", "FastAPI tuned by hand", "fastapi", _uvicorn("tuned", *_FAST))
TUNED_BUT_PREDICT = _peer(
    "tuned-predict",
    "FastAPI tuned by hand, but for `predict`",
    "fastapi",
    _uvicorn("tuned", *_FAST),
    variables={"PREDICT": "1"},
    models=("m1",),
)
AZUREML = _peer("azureml", "azureml-inference-server-http, the same script", "azureml", _azureml)
PEERS = (
    NAIVE,
    TUNED,
    TUNED_BUT_PREDICT,
    AZUREML,
    _peer(
        "mlflow",
        "MLflow serve",
        "mlflow",
        _mlflow,
        path="/invocations",
        ask=lambda rows: {"inputs": rows},
        told=_predictions,
    ),
    _peer("bentoml", "BentoML", "bentoml", _bentoml, told=lambda answer: answer),
    _peer(
        "mlserver",
        "MLServer without its pool of workers",
        "mlserver",
        _mlserver(0),
        path="/v2/models/scoring/infer",
        ask=_inference_protocol,
        told=_outputs,
        is_steady=False,
    ),
    _peer("litserve", "LitServe", "litserve", _script("lit.py")),
    _peer("ray", "Ray Serve", "ray", _script("ray_serve.py")),
)


def _protocol(ground: Ground, model: Path, port: int, _scratch: Path) -> list[str | Path]:
    return ["python", FLOORS / "protocol_echo.py", str(port), _response(ground, model.name)]


UVLOOP = _peer("uvloop", "floor: bare uvloop Protocol echo", "fastapi", _protocol, is_floor=True, models=("m1",))
FLOOR_SERVERS = (
    Server("c", "floor: echo in C", _echo_in_c, is_floor=True, models=("m1",)),
    UVLOOP,
    _peer(
        "asgi",
        "floor: uvicorn's bare ASGI echo",
        "fastapi",
        _uvicorn("asgi_echo", *_FAST),
        is_floor=True,
        models=("m1",),
    ),
)
