"""The OpenAPI document is what the service does: a fuzzer asks what it allows and what it forbids, and compares."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serve.service import Service


@pytest.mark.all
@pytest.mark.parametrize("examples", ["25"])
def test_no_request_that_a_fuzzer_makes_up_is_answered_otherwise_than_documented(
    examples: str, collecting: Service, tmp_path: Path
) -> None:
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
