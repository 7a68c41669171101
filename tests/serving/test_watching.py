"""What is to be seen of an endpoint from outside: metrics as Prometheus reads them, traces as a collector gets them."""

import gzip
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from modelwright.records import Access, FrontSettings
from modelwright.serving import control
from modelwright.serving.front import tracing
from modelwright.serving.front.asking import Asked
from modelwright.serving.front.messages import Head

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SCRIPT = """
import json
def init(): pass
def run(data, request_headers):
    if data == "fail":
        raise ValueError
    if data == "trace":
        return request_headers["Traceparent"]
    return {"result": [float(data)]}
"""


class Collector:
    """A server that takes traces in OTLP over HTTP, as OpenTelemetry's collector does."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    told = {each.key: each.value.string_value for each in resource.resource.attributes}
                    collector.services.add(told["service.name"])
                    collector.spans += [span for scope in resource.scope_spans for span in scope.spans]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join(60)
        self.server.server_close()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def endpoint(make_served: Callable[[], Any], collector: Collector) -> Any:
    served = make_served()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server.server_port}")
        served.start()
    served.deploy(SCRIPT)
    return served


def metrics(endpoint: Any) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return the value of each sample by its name and its labels but those that are always the same."""
    answer = endpoint.ask("GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = {}
    for family in text_string_to_metric_families(answer.body):
        for sample in family.samples:
            assert sample.labels.pop("endpoint") == "diabetes"
            if sample.labels.get("deployment"):
                assert sample.labels.pop("deployment") == "diabetes:1"
            sample.labels.pop("version", None)
            found[sample.name, frozenset(sample.labels.items())] = sample.value
    return found


def test_what_was_answered_is_counted(endpoint: Any) -> None:
    before = metrics(endpoint)
    for body in ("1", "2", "3", "fail"):
        endpoint.ask(body=body)
    after = metrics(endpoint)

    def grown(name: str, **labels: str) -> float:
        key = (f"modelwright_{name}", frozenset(labels.items()))
        return after[key] - before.get(key, 0)

    assert grown("requests_total", status="200") == 3
    assert grown("requests_total", status="500") == 1
    assert grown("request_duration_seconds_count") == 4
    assert grown("request_duration_seconds_bucket", le="+Inf") == 4
    assert grown("request_bytes_total") == len("123fail")
    assert grown("capture_records_total", outcome="kept") == 4
    state = {name: value for (name, labels), value in after.items() if not labels}
    told = {
        "ready": 1,
        "deployment_ready": 1,
        "workers": 1,
        "workers_ready": 1,
        "traffic_ratio": 1,
        "requests_waiting": 0,
    }
    assert {name: state[f"modelwright_{name}"] for name in told} == told
    assert after["modelwright_process_resident_memory_bytes", frozenset({("process", "worker-0")})] > 1_000_000
    assert after["modelwright_process_cpu_seconds_total", frozenset({("process", "front")})] > 0
    assert 1 <= after["modelwright_prediction_quantile", frozenset({("quantile", "0.5")})] <= 3


def test_names_follow_the_rules_of_prometheus(endpoint: Any) -> None:
    text = endpoint.ask("GET", "/metrics").body
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    helped = re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE)
    assert list(kinds) == helped
    for name, kind in kinds.items():
        assert re.fullmatch(r"modelwright_[a-z_]+", name)
        assert name.endswith("_total") == (kind == "counter"), name
        assert not re.search(r"milli|micro|kilo|_ms\b|_mb\b|percent", name)
    buckets = [float(each) for each in re.findall(r"_bucket\{.*?\} (\d+)$", text, re.MULTILINE)]
    assert buckets == sorted(buckets)


def test_metrics_ask_for_a_key_where_scoring_does(served: Any) -> None:
    served.start()
    settings = FrontSettings(access=Access(is_required=True))
    control.configure(served.name, settings, runtime_folder=served.runtime_folder)
    assert {path: served.ask("GET", path).status for path in ("/metrics", "/swagger.json", "/livez", "/docs")} == {
        "/metrics": 401,
        "/swagger.json": 401,
        "/livez": 200,
        "/docs": 200,
    }


def test_the_trace_context_is_carried_to_the_script_and_back(endpoint: Any) -> None:
    answer = endpoint.ask(body="trace", headers={"traceparent": PARENT})
    seen = json.loads(answer.body)
    assert answer.headers["traceparent"] == seen
    assert seen.split("-")[1] == PARENT.split("-")[1]
    assert seen.split("-")[2] != PARENT.split("-")[2]
    begun = json.loads(endpoint.ask(body="trace", headers={"traceparent": "00-abc"}).body)
    assert tracing.given(begun) is not None
    assert begun.split("-")[1] != PARENT.split("-")[1]


def test_spans_of_a_request_and_its_run_reach_the_collector(endpoint: Any, collector: Collector) -> None:
    endpoint.ask(body="4", headers={"traceparent": PARENT, "x-request-id": "the-traced-one"})
    endpoint.ask(body="5", headers={"traceparent": PARENT[:-1] + "0", "x-request-id": "not-sampled"})

    def found() -> Any:
        told = [{each.key: each.value for each in span.attributes} for span in collector.spans]
        return next(
            (
                span
                for span, about in zip(collector.spans, told, strict=True)
                if "modelwright.request_id" in about
                and about["modelwright.request_id"].string_value == "the-traced-one"
            ),
            None,
        )

    endpoint.wait_for(found, "the span is there")
    request = found()
    assert request.name == "POST /score"
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == tuple(PARENT.split("-")[1:3])
    (run,) = [each for each in collector.spans if each.parent_span_id == request.span_id]
    assert run.name == "run"
    assert request.start_time_unix_nano <= run.start_time_unix_nano <= run.end_time_unix_nano
    assert run.end_time_unix_nano <= request.end_time_unix_nano
    assert collector.services == {"diabetes"}
    assert not any("not-sampled" in str(each.attributes) for each in collector.spans)


@pytest.mark.parametrize(
    "context",
    [
        *("", "00-abc", f"ff{PARENT[2:]}", PARENT.upper(), f"{PARENT}-more", f"{PARENT},{PARENT}"),
        *("00-" + "0" * 32 + PARENT[35:], PARENT[:36] + "0" * 16 + "-01"),
    ],
)
def test_a_malformed_trace_context_is_none(context: str) -> None:
    assert tracing.given(context) is None


def test_a_trace_context_of_a_version_to_come_is_read_as_far_as_it_is_known() -> None:
    found = tracing.given(f"cc{PARENT[2:-2]}ff-what-they-will-be")
    assert found is not None
    assert (found.trace_id, found.header[:3], found.header[-3:]) == (PARENT[3:35], "00-", "-03")


def test_the_state_of_a_trace_goes_on_with_its_trace_alone() -> None:
    for context, is_there in ((PARENT, True), ("00-abc", False), ("", False)):
        head = Head("POST", "/score", "", {"traceparent": context, "tracestate": "a=b"})
        told = Asked(head).head(head, "an-id", trace="", hides_keys=False)
        assert ("Tracestate" in json.loads(told)["headers"]) == is_there
