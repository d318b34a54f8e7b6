"""What the gateway tells of itself, read by the official readers: /metrics by Prometheus' own
parser, the spans by OpenTelemetry's own message types.

Usage: watch.py BINARY PROVIDER_URL
"""

import base64
import http.server
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

binary, provider = sys.argv[1:]
batches = []


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        batches.append((self.path, json.loads(body)))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=collector.serve_forever, daemon=True).start()

gateway = subprocess.Popen(
    [binary],
    env={
        "PATH": os.environ["PATH"],
        "HOST": "127.0.0.1",
        "PORT": "0",
        "LOG_FORMAT": "json",
        "METRICS_KEY": "metrics-key",
        "OPENAI_BASE_URL": provider,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
    },
    stderr=subprocess.PIPE,
    text=True,
)
lines = []
for line in gateway.stderr:
    lines.append(json.loads(line))
    said = lines[-1].get("message", "")
    if said.startswith("listening on "):
        url = said.removeprefix("listening on ")
    if said.startswith("docs at"):
        break
rest = threading.Thread(target=lambda: lines.extend(json.loads(line) for line in gateway.stderr))
rest.start()


def call(path, body=None):
    request = urllib.request.Request(
        url + path,
        data=body and json.dumps(body).encode(),
        headers={
            "Authorization": "Bearer metrics-key" if path == "/metrics" else "Bearer k",
            "Content-Type": "application/json",
        },
    )
    try:
        return urllib.request.urlopen(request).read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


hello = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
call("/v1/chat/completions", hello)
call("/v1/chat/completions", {**hello, "stream": True})
call("/v1/responses", {"model": "gpt-4o-mini", "input": "Hello"})
call("/v1/chat/completions", {})
call("/nowhere")
families = {family.name: family for family in text_string_to_metric_families(call("/metrics"))}
gateway.terminate()
rest.join()
assert gateway.wait() == 0, gateway.returncode

checks = 0


def check(condition, what):
    global checks
    assert condition, what
    checks += 1


for name, kind in {
    "gateway_build": "info",
    "gateway_requests": "counter",
    "gateway_requests_in_flight": "gauge",
    "gateway_request_duration_seconds": "histogram",
    "gateway_first_byte_seconds": "histogram",
    "gateway_errors": "counter",
    "gateway_attempts": "counter",
    "gateway_tokens": "counter",
    "gateway_in_flight": "gauge",
    "gateway_waiting": "gauge",
    "gateway_circuit": "gauge",
}.items():
    check(families[name].type == kind, name)
    check(families[name].documentation, name)
total = sum(s.value for s in families["gateway_requests"].samples if s.name.endswith("_total"))
check(total == 5, total)

spans = []
for path, batch in batches:
    check(path == "/v1/traces", path)
    read = json_format.Parse(json.dumps(batch), ExportTraceServiceRequest())
    for resource in read.resource_spans:
        for scope in resource.scope_spans:
            spans.extend(scope.spans)
# OTLP's JSON has ids in hexadecimal, where that of Protocol Buffers has base64.
text = lambda id: base64.b64encode(id).decode()
by_id = {text(span.span_id): span for span in spans}
# The one that asks for the metrics is a probe, and leaves neither a span nor a line.
check(len(spans) == 5 + 3, len(spans))
for span in spans:
    check(len(text(span.trace_id)) == 32 and len(text(span.span_id)) == 16, span)
    check(0 < span.start_time_unix_nano <= span.end_time_unix_nano, span)
    if span.kind == 3:
        parent = by_id[text(span.parent_span_id)]
        check(parent.kind == 2 and parent.trace_id == span.trace_id, span)
        check(parent.start_time_unix_nano <= span.start_time_unix_nano, span)
        names = {attribute.key for attribute in span.attributes}
        check({"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"} <= names, names)

access = [line for line in lines if line["target"] == "access"]
check(len(access) == 5, access)
check(all(line["request_id"] and line["trace_id"] for line in access), access)
print(f"{checks} checks passed")
