"""Versions whose models are arrays: real endpoints that answer without a process, and as the process would."""

import asyncio
import concurrent.futures
import json
import pickle
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from serving.endpoints import Served

from modelwright.models.fusing import asking, exporting, fusing, scripts
from modelwright.models.guest.codes import Route
from modelwright.models.guest.messages import Call
from modelwright.models.guest.models import Model
from modelwright.records import WorkerSpec
from modelwright.serving import control
from modelwright.serving.front.fused import Fused

np = pytest.importorskip("numpy")
pytest.importorskip("sklearn")

SCRIPT = """
import json
import os
import pickle
import numpy as np

def init():
    global model
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.pkl"), "rb") as file:
        model = pickle.load(file)

def run(raw_data, request_headers):
    data = np.array(json.loads(raw_data)["data"])
    return {"result": model.predict(data).tolist()}
"""
HIDDEN = SCRIPT.replace("    return", "    str(request_headers)\n    return")  # the same, but opaque
# What stands in for the version's process where that need not load scikit-learn.
PROCESS = """
import json

def init():
    pass

def run(raw_data):
    return {"result": [sum(row) for row in json.loads(raw_data)["data"]]}
"""
SAMPLE = json.dumps({"data": [[0.5, 1.5, -2.0]]})


def by_script(served: Served, model: Any, *, version: int = 1) -> WorkerSpec:
    """Return a version with a scoring script."""
    spec = served.spec(SCRIPT, version=version, sample=SAMPLE)
    (spec.model_folder / "model.pkl").write_bytes(pickle.dumps(model))
    return spec


def by_itself(served: Served, model: Any) -> WorkerSpec:
    """Return a version without one."""
    spec = by_script(served, model)
    assert spec.script is not None
    return replace(spec, script=None, framework="sklearn", package=spec.script.parent)


def fused(served: Served, model: Any, *, version: int = 1) -> WorkerSpec:
    """Return a version with a scoring script, its package as registration makes it."""
    names: dict[str, Any] = {}
    exec(SCRIPT, names)
    names["model"] = model
    answer = asking.answering(lambda body: names["run"](body, {}))
    return _fused(served, by_script(served, model, version=version), model, answer)


def fused_by_itself(served: Served, model: Any) -> WorkerSpec:
    """Return a version without a scoring script, its package as registration makes it."""
    spec = by_itself(served, model)
    assert spec.package is not None
    answering = Model("sklearn", spec.model_folder, spec.package)

    def answer(body: str) -> str | None:
        try:
            return answering.score(Call(0, Route.SCORE, "", b"", body.encode("utf-8", "surrogatepass"))).body.decode()
        except Exception:  # noqa: BLE001 - whatever scikit-learn raises
            return None

    return _fused(served, spec, model, answer)


def _fused(served: Served, spec: WorkerSpec, model: Any, answer: Callable[[str], str | None]) -> WorkerSpec:
    package = spec.model_folder.parents[2]
    folder = served.folder / f"parts-{package.name}"
    folder.mkdir()
    parts = exporting.parts_of(model)
    parts.write(str(folder / "arrays.bin"))
    asking.write_answers(str(folder / "answers.jsonl"), answer=answer, parts=parts, sample=SAMPLE, key="data")
    form = scripts.form_of(SCRIPT.encode())
    verdict = fusing.fuse(package, folder, form, is_alone=spec.script is None)
    assert verdict.is_fused, verdict.reason
    return replace(spec, fused=package)


def in_a_light_process(served: Served, spec: WorkerSpec) -> WorkerSpec:
    """Return the version with a process that starts fast."""
    script = served.folder / "process.py"
    script.write_text(PROCESS)
    return replace(spec, script=script)


def deploy(served: Served, spec: WorkerSpec) -> None:
    control.deploy(served.name, runtime_folder=served.runtime_folder, worker=spec, timeout_seconds=60)


def rows(count: int, seed: int = 0) -> list[list[float]]:
    chance = random.Random(seed)
    return [[chance.uniform(-3, 3) for _ in range(3)] for _ in range(count)]


@pytest.fixture(scope="module")
def linear() -> Any:
    from sklearn.linear_model import Ridge

    return Ridge().fit(rows(50), [sum(row) for row in rows(50)])


@pytest.fixture(scope="module")
def trees() -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(max_iter=20, min_samples_leaf=2).fit(rows(50), [sum(row) for row in rows(50)])


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer requests than at a registration."""
    monkeypatch.setattr(asking, "_SINGLES", 120)


@pytest.fixture(scope="module", params=[(fused, by_script), (fused_by_itself, by_itself)], ids=["script", "bare"])
def both(make_served: Callable[[], Served], linear: Any, request: pytest.FixtureRequest) -> tuple[Served, Served]:
    """One model behind two endpoints: in the front of the first, in a process of the second."""
    mine, theirs = make_served(), make_served()
    mine.start()
    theirs.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asking, "_SINGLES", 120)
        deploy(mine, request.param[0](mine, linear))
    deploy(theirs, request.param[1](theirs, linear))
    return mine, theirs


def test_it_answers_without_a_process(served: Served, linear: Any) -> None:
    served.start()
    deploy(served, fused(served, linear))
    body = json.dumps({"data": rows(1)})
    answer = served.ask(body=body)
    assert (answer.status, answer.body) == (200, json.dumps({"result": linear.predict(np.array(rows(1))).tolist()}))
    assert answer.headers["x-ms-run-function-failed"] == "False"
    assert answer.headers["x-modelwright-version"] == "diabetes:1"
    status = served.status()
    assert status is not None
    assert status.is_healthy
    (state,) = status.deployments
    assert (state.is_fused, state.worker_pids, state.requests) == (True, (), 1)
    assert served.workers() == []
    (record,) = served.captured()
    assert (record.version, record.input, record.output) == ("diabetes:1", body, answer.body)


BODIES = [
    "",
    "{",
    "[]",
    "null",
    '{"data": []}',
    '{"data": [[]]}',
    '{"data": [[1, 2]]}',
    '{"data": [[1, 2, 3]]}',
    '{"data": [[1.5, 2, 3], [1, 2]]}',
    '{"data": [[1.5, 2, 3], [1, 2, "3"]]}',
    '{"data": [[1.5, 2, "a"]]}',
    '{"data": [[true, 2, 3.5]]}',
    '{"data": [[null, 2, 3.5]]}',
    '{"data": [[NaN, 2, 3.5]]}',
    '{"data": [[1e999, 2, 3.5]]}',
    '{"data": [[1e308, 1e308, 1e308]]}',
    '{"data": [[123456789012345678901234567890, 2, 3]]}',
    '{"data": {"a": [1, 2, 3]}}',
    '{"data": "abc"}',
    '{"data": [[[1], [2], [3]]]}',
    '{"other": [[1, 2, 3.5]]}',
    '{"data": [[1, 2, 3.5]], "more": 1}',
    '{"data": [[1, 2, 3.5]], "columns": ["a", "b", "c"]}',
    '{"data": [[1, 2, 3.5]], "predict_method": "predict_proba"}',
    '{"data": [{"a": 1, "b": 2, "c": 3.5}]}',
    "[[1, 2, 3.5]]",
    '{"data": [[9]], "data": [[1, 2, 3.5]]}',
    ' \n{"data"  : [[ 1e0 ,-0.0,3.5E-7]]}\t',
    '{"data": [[1, 2, 3.5]]}{"data": [[1, 2, 3.5]]}',
    '\ufeff{"data": [[1, 2, 3.5]]}',
    '{"\\u0064ata": [[1, 2, 3.5]]}',
    '{"data": [[1, 2, 3.5]], "\\ud800": 1}',
    '{"data": ' + "[" * 2000 + "]" * 2000 + "}",
]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/json"},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "text/csv"},
        {"Accept": "application/vnd.apache.arrow.stream"},
    ],
)
def test_it_answers_every_body_as_the_process_does(both: tuple[Served, Served], headers: dict[str, str]) -> None:
    chance = random.Random(3)
    many = [json.dumps({"data": rows(chance.randint(1, 40), seed)}) for seed in range(20)]
    clients = [each.connect() for each in both]
    for body in [*BODIES, *many]:
        found = []
        for client in clients:
            client.request("POST", "/score", body=body.encode("utf-8", "surrogatepass"), headers=headers)
            answer = client.getresponse()
            told = [answer.getheader(name) for name in ("content-type", "x-ms-run-function-failed")]
            found.append((body, answer.status, answer.read(), told))
        assert found[0] == found[1]
    for client in clients:
        client.close()


def test_it_answers_queries_as_the_process_does(both: tuple[Served, Served]) -> None:
    for query in ("data=[[1,2,3.5]]", "proba", "data=[[1,2,3.5]]&data=1", "data=x", "other=1", ""):
        mine, theirs = (each.ask("GET", f"/score?{query}") for each in both)
        assert (query, mine.status, mine.body) == (query, theirs.status, theirs.body)


def test_one_body_never_touches_anothers_answer(both: tuple[Served, Served], linear: Any) -> None:
    """Three bodies that, put together in one list, would give a stranger another answer."""
    crafted = ['{"data": [[0,0,0]]},{"data": [[9,9,9]]}', '{"data": [[7,7,7]', "]}"]
    honest = [json.dumps({"data": [row]}) for row in rows(40)]
    expected = [json.dumps({"result": linear.predict(np.array([row])).tolist()}) for row in rows(40)]
    sent = [each for number, body in enumerate(honest) for each in (body, crafted[number % 3])]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda body: both[0].ask(body=body), sent))
    assert [each.body for each in answers[::2]] == expected
    assert {each.status for each in answers[1::2]} <= {400, 500}


def test_what_is_not_for_the_arrays_is_answered_by_a_process_that_is_started_then(served: Served, trees: Any) -> None:
    served.start()
    deploy(served, in_a_light_process(served, fused(served, trees)))
    assert served.workers() == []
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: served.ask(body='{"data": [["a", 2, 3]]}'), range(4)))
    assert {each.status for each in answers} == {500}
    assert "TypeError" in served.log.read_text()
    (worker,) = served.workers()
    worker.kill()
    assert served.ask(body=SAMPLE).status == 200


def test_a_long_request_lets_short_ones_pass(served: Served, trees: Any) -> None:
    bodies = {"first": rows(3000), "second": rows(1000, 1), "short": rows(2, 2)}
    answers: dict[str, bytes] = {}

    async def ask() -> None:
        version = Fused(fused(served, trees), log=served.log, timeout_ms=1000)
        await version.open(timeout_seconds=60)
        for name, each in bodies.items():
            body = json.dumps({"data": each}).encode()
            version.score(
                Route.SCORE,
                body,
                head=b"",
                request_id=name,
                done=lambda scored, name=name: answers.setdefault(name, scored.body),  # type: ignore[misc]
            )
        assert (list(answers), version.waiting) == (["short"], 2)
        await version.close(drain_seconds=60)

    asyncio.run(ask())
    assert list(answers) == ["short", "second", "first"]
    for name, each in bodies.items():
        assert answers[name] == json.dumps({"result": trees.predict(np.array(each)).tolist()}).encode()


def test_arrays_that_calculate_otherwise_here_leave_the_version_to_its_process(served: Served, linear: Any) -> None:
    spec = fused(served, linear)
    assert spec.fused is not None
    answers = spec.fused / "fused" / "answers.jsonl"
    answers.write_text(answers.read_text().replace('{\\"result\\": [', '{\\"result\\": [1'))
    served.start()
    deploy(served, in_a_light_process(served, spec))
    assert served.ask(body=SAMPLE).body == '{"result": [0.0]}'
    assert len(served.workers()) == 1
    assert "is served by a process, not by the front: to" in served.log.read_text()


def test_a_process_that_does_not_start_hurts_only_what_needs_it(served: Served, linear: Any) -> None:
    spec = fused(served, linear)
    assert spec.script is not None
    served.start()
    deploy(served, replace(spec, script=spec.script.with_name("gone.py")))
    for _ in range(2):
        answer = served.ask(body='{"data": "odd"}')
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert served.ask(body=SAMPLE).status == 200
    assert served.status().is_healthy  # type: ignore[union-attr]


def test_it_is_replaced_like_any_other_while_it_answers(served: Served, linear: Any, trees: Any) -> None:
    served.start()
    deploy(served, fused(served, linear))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(served.ask, body=json.dumps({"data": rows(30)})) for _ in range(60)]
        deploy(served, fused(served, trees, version=2))
        asked += [pool.submit(served.ask, body=json.dumps({"data": rows(30)})) for _ in range(20)]
    found = [each.result() for each in asked]
    assert {each.status for each in found} == {200}
    answers = {
        f"diabetes:{number}": json.dumps({"result": model.predict(np.array(rows(30))).tolist()})
        for number, model in ((1, linear), (2, trees))
    }
    assert all(answers[each.headers["x-modelwright-version"]] == each.body for each in found)
    assert found[-1].headers["x-modelwright-version"] == "diabetes:2"
