"""The process: how it starts, what it says when it cannot, and that it goes without losing anybody."""

import contextlib
import http.client
import json
import os
import pty
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgemnist.model.exports import reference_directory
from tests.patience import PATIENCE_S, comes_true
from tests.serve.service import TOKEN, Service, everything, limited, png, serving, seven


@pytest.mark.all
def test_the_first_answer_takes_less_than_a_second_of_work(made_exports: Path, drawing: bytes) -> None:
    """Of the processor, imports included: other tests run at the same time, and are not to be counted.

    Those share its caches, too, so the least of three starts counts.
    """
    work = []
    for _ in range(3):
        with serving(made_exports) as service:
            assert service.ask("/v1/predict", drawing).status == 200
            work.append(service.own_processor_s())
    assert min(work) <= 1


def test_sigterm_ends_what_is_under_way_and_takes_nothing_new(drawing: bytes) -> None:
    patient = dict.fromkeys(("drain_s", "body_timeout_s", "wait_timeout_s"), PATIENCE_S)
    with limited(reference_directory(), **patient) as service:
        with service.connect() as slow, service.connect() as idle:
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b" 200 OK" in idle.recv(65536)
            head = (
                b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
            )
            slow.sendall(head % len(drawing) + drawing[:100])
            assert comes_true(lambda: "edgemnist_requests_in_flight 2.0" in service.ask("/metrics").body.decode())
            service.process.send_signal(signal.SIGTERM)
            everything(idle)
            with pytest.raises(ConnectionRefusedError):
                service.connect()
            time.sleep(0.5)
            assert service.process.poll() is None
            slow.sendall(drawing[100:])
            assert everything(slow).startswith(b"HTTP/1.1 200 ")
        assert service.process.wait(timeout=PATIENCE_S) == 0


def test_a_socket_that_lets_others_in_needs_a_token_whoever_opened_it(made_exports: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        serve = f"exec env LISTEN_PID=$$ LISTEN_FDS=1 {sys.executable} -m edgemnist serve --exports {made_exports} 3<&0"
        done = subprocess.run(
            ["sh", "-c", serve], check=False, stderr=subprocess.PIPE, stdin=listener.fileno(), timeout=PATIENCE_S
        )
    assert (done.returncode, b"--token" in done.stderr) == (2, True)


def test_systemd_is_told_when_the_service_answers_and_when_it_goes(made_exports: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE_S)
        with serving(made_exports, env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}) as service:
            assert systemd.recv(100) == b"READY=1"
            assert service.ask("/healthz").status == 200
        assert systemd.recv(100) == b"STOPPING=1"


def test_an_artifact_that_was_damaged_meanwhile_is_refused_and_the_others_answer(exports: Path, drawing: bytes) -> None:
    with serving(exports, "--artifact", "tflite-int8") as service:
        path = exports / "onnx-int8.onnx"
        path.write_bytes(path.read_bytes()[:-1])
        answer = service.ask("/v1/predict?artifact=onnx-int8", drawing)
        assert (answer.status, answer.document["error"]) == (503, "damaged-artifact")
        # Where the files are is for the log.
        assert str(exports) not in answer.body.decode()
        assert "/" not in answer.document["message"] + answer.document["hint"]
        assert service.ask("/v1/predict", drawing).status == 200


def test_a_model_file_is_the_only_artifact(made_exports: Path, drawing: bytes) -> None:
    name = str(made_exports / "onnx-int8.onnx")
    with serving(made_exports, "--artifact", name) as service:
        assert [one["name"] for one in service.ask("/v1/artifacts").document["artifacts"]] == [name]
        assert service.ask("/v1/predict", drawing).document["predictions"][0]["digit"] == 7
        assert service.ask("/v1/predict?artifact=tflite-int8", drawing).status == 404


def test_every_request_is_counted_where_prometheus_reads(made_exports: Path, drawing: bytes, page: bytes) -> None:
    with serving(made_exports) as service:
        for _ in range(3):
            service.ask("/v1/predict?artifact=onnx-int8", drawing)
        service.ask("/v1/read", page, kind="image/jpeg")
        service.ask("/v1/predict", b"no picture")
        service.ask("/strange/path")
        service.ask("/app.js")
        answer = service.ask("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    samples: dict[tuple[Any, ...], float] = {}
    requests: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            samples[sample.name, *sorted(sample.labels.items())] = sample.value
            if sample.name == "edgemnist_requests_total":
                requests[sample.labels["path"], sample.labels["status"]] = sample.value
    assert requests == {
        ("/v1/predict", "200"): 3, ("/v1/read", "200"): 1, ("/v1/predict", "422"): 1, ("other", "404"): 1,
        ("page", "200"): 1,
    }  # fmt: skip
    assert samples["edgemnist_pictures_total", ("artifact", "onnx-int8"), ("endpoint", "predict")] == 3
    for stage in ("decode", "normalize", "classify"):
        assert samples["edgemnist_stage_seconds_count", ("endpoint", "predict"), ("stage", stage)] == 3
    assert samples["edgemnist_body_bytes",] == 0
    assert samples["edgemnist_requests_in_flight",] == 1
    assert samples["process_resident_memory_bytes",] > 1e7


@pytest.mark.all
def test_memory_does_not_grow_with_requests(service: Service, drawing: bytes, page: bytes) -> None:
    """Nor by 14 kB with each drawing and each refused request, nor by 700 kB with each page."""

    def after_round() -> int:
        for number in range(50):
            service.ask("/v1/predict", drawing)
            service.ask("/v1/predict?artifact=unknown", drawing[:number])
        service.ask("/v1/read", page, kind="image/jpeg")
        return service.memory()

    # A process's first page, and the allocator's changes of mind about large blocks, take megabytes, but once: a leak
    # is what every round adds.
    for _ in range(4):
        service.ask("/v1/read", page, kind="image/jpeg")
    rounds = [after_round() for _ in range(9)][2:]
    assert median(later - earlier for earlier, later in pairwise(rounds)) < 650_000


def test_a_terminal_is_shown_an_address_and_a_link_for_a_phone(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "edgemnist", "serve", "--exports", str(reference_directory()), "--port", "0"]
    options = ["--host", "0.0.0.0", "--token-file", str(tmp_path / "token")]
    process = subprocess.Popen([*command, *options], stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    try:
        said = b""
        while (b"#token=" not in said or not said.endswith(b"\n")) and select.select([ours], [], [], PATIENCE_S)[0]:
            said += os.read(ours, 4096)
        (link,) = re.findall(r"open (http://\S+)#token=" + TOKEN, said.decode())
        address = urlsplit(link)
        assert address.hostname not in {"0.0.0.0", "127.0.0.1", None}
        assert f"answers at {link}" in said.decode()
        connection = http.client.HTTPConnection(str(address.hostname), address.port or 0, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request("GET", "/v1/artifacts", headers={"authorization": f"Bearer {TOKEN}"})
            assert connection.getresponse().status == 200
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
        os.close(ours)


def test_json_tells_where_the_service_answers_and_not_the_token(made_exports: Path) -> None:
    with serving(made_exports, "--host", "::1", "--artifact", "onnx-int8", "--token", TOKEN) as service:
        started = service.started
        assert (started["artifact"], started["token"], started["address"]) == ("onnx-int8", True, None)
        assert started["url"] == f"http://[::1]:{service.address[1]}/"
        assert TOKEN not in json.dumps(started)
        assert service.ask("/healthz").status == 200


@pytest.mark.all
def test_there_may_be_a_body_for_each_connection_whatever_the_shell_allows_at_first(made_exports: Path) -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    with serving(made_exports, preexec_fn=few) as service, contextlib.ExitStack() as opened:
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            for _ in range(100):
                one = socket.create_connection(service.address, timeout=PATIENCE_S, source_address=(host, 0))
                opened.enter_context(one)
                one.sendall(b"POST /v1/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/png\r\n")
                one.sendall(b"content-length: 100\r\n\r\nx")
        assert service.ask("/healthz").status == 200
        assert service.ask("/v1/predict", png(seven())).status == 200


@pytest.mark.all
@pytest.mark.parametrize("examples", ["25"])
def test_what_a_fuzzer_asks_is_answered_as_documented(examples: str, collecting: Service, tmp_path: Path) -> None:
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{collecting.url}openapi.json"]
    options = ["--checks", checks, "--max-examples", examples, "--seed", "1", "--phases", "examples,coverage,fuzzing"]
    done = subprocess.run(
        [*command, *options],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "100"},
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert collecting.ask("/healthz").status == 200


def test_the_document_names_every_path_that_answers(collecting: Service) -> None:
    document = collecting.ask("/openapi.json").document
    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        for method in methods:
            answer = collecting.ask(path, b"x" if method == "post" else None, method=method.upper())
            assert str(answer.status) in methods[method]["responses"], (path, method)
    assert collecting.ask("/v1/anything").status == 404
