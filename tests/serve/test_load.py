"""Many clients, and pictures that were made to take long: everybody else is answered, and the end comes in time."""

import base64
import contextlib
import http.client
import io
import json
import os
import random
import re
import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from benchmarks.vision.synthetic.digits import evaluation_digits
from edgemnist.model.exports import reference_directory
from tests.patience import PATIENCE_S, comes_true
from tests.serve.service import Answer, Service, limited, png

CLIENTS = 50
REQUESTS = 6
"""Of each client."""
ALONE = 3
"""Processes of a service that has no worker: itself, and the two that it forks workers from."""


@pytest.fixture(scope="module")
def drawings() -> list[tuple[bytes, int]]:
    """A hundred digits as the page sends drawings, and which they are."""
    digits = evaluation_digits()
    return [
        (png(Image.fromarray(255 - image).resize((112, 112), Image.Resampling.BICUBIC)), int(label))
        for image, label in zip(digits.images[:100], digits.labels[:100], strict=True)
    ]


def test_fifty_clients_that_draw_at_once_all_get_their_answers(drawings: list[tuple[bytes, int]]) -> None:
    with limited(reference_directory(), rate=0, wait_timeout_s=PATIENCE_S) as service:
        alone = [service.ask("/v1/predict", drawing).document["predictions"][0] for drawing, _ in drawings]
        assert sum(one["digit"] == label for one, (_, label) in zip(alone, drawings, strict=True)) >= 98

        def draw(client: int) -> None:
            chosen = random.Random(client).choices(range(len(drawings)), k=REQUESTS)
            connection = http.client.HTTPConnection(*service.address, timeout=PATIENCE_S)
            with contextlib.closing(connection):
                ready.wait()
                for index in chosen:
                    connection.request("POST", "/v1/predict", drawings[index][0], {"content-type": "image/png"})
                    response = connection.getresponse()
                    assert response.status == 200
                    assert json.loads(response.read())["predictions"][0] == alone[index]

        ready = threading.Barrier(CLIENTS)
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(draw, range(CLIENTS)))


def noise(width: int, height: int) -> bytes:
    return png(Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)))


LARGE = noise(400, 340)
"""Not a drawing: it waits for one of the places for large pictures."""


def large_pictures(service: Service) -> int:
    """Return how many are worked on or wait."""
    return int(re.findall(r"^edgemnist_large_pictures (\d+)", service.ask("/metrics").body.decode(), re.MULTILINE)[0])


def hold_up(
    service: Service, clients: ThreadPoolExecutor, count: int, path: str = "/v1/read"
) -> tuple[list[int], list[Future[Answer]]]:
    """Stop this many processes that work on pictures, and return them, with the answers that wait for them."""
    stopped, waiting = list[int](), list[Future[Answer]]()
    while True:
        waiting = [answer for answer in waiting if not answer.done()]
        if len(stopped) == len(waiting) == count:
            return stopped, waiting
        if len(waiting) < count:
            waiting.append(clients.submit(service.ask, path, LARGE))
        for worker in set(service.processes()[ALONE:]) - set(stopped):
            os.kill(worker, signal.SIGSTOP)
            stopped.append(worker)
        time.sleep(0.1)


def test_where_all_places_are_taken_large_pictures_are_refused_drawings_answered(
    drawings: list[tuple[bytes, int]],
) -> None:
    limits = {"concurrency": 2, "waiting": 1, "rate": 0, "wait_timeout_s": PATIENCE_S}
    with limited(reference_directory(), **limits) as service, ThreadPoolExecutor(3) as clients:
        stopped, answers = hold_up(service, clients, 2)
        answers.append(clients.submit(service.ask, "/v1/read", LARGE))
        assert comes_true(lambda: large_pictures(service) == 3)
        # As many processes as were asked for: the third picture waits.
        assert len(service.processes()) == ALONE + 2
        refused = service.ask("/v1/read", LARGE)
        assert (refused.status, refused.document["error"], refused.headers["retry-after"]) == (503, "busy", "1")
        # A batch needs a place, too.
        batch = json.dumps({"images": [base64.b64encode(drawings[0][0]).decode()] * 2}).encode()
        assert service.ask("/v1/predict", batch, kind="application/json").status == 503
        for _ in range(5):
            assert service.ask("/v1/predict", drawings[0][0]).status == 200
            assert service.ask("/v1/artifacts").status == 200
        for worker in stopped:
            os.kill(worker, signal.SIGCONT)
        assert [answer.result().status for answer in answers] == [200] * 3
        assert service.ask("/v1/read", LARGE).status == 200


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/read"])
def test_a_picture_that_takes_long_does_not_hold_up_the_end(path: str) -> None:
    limits = {"concurrency": 1, "drain_s": 1, "rate": 0, "wait_timeout_s": PATIENCE_S}
    with limited(reference_directory(), **limits) as service, ThreadPoolExecutor(1) as clients:
        _, (answer,) = hold_up(service, clients, 1, path)
        service.process.terminate()
        assert service.process.wait(PATIENCE_S) == 0
        # Whoever waited is told, and may ask the next service.
        assert (answer.result().status, answer.result().document["error"]) == (503, "busy")


def test_work_ends_when_its_client_leaves() -> None:
    limits = {"concurrency": 1, "waiting": 1, "rate": 0, "wait_timeout_s": PATIENCE_S}
    with limited(reference_directory(), **limits) as service, ThreadPoolExecutor(1) as clients:
        stopped, answers = hold_up(service, clients, 1)
        with service.connect() as leaving:
            head = (
                f"POST /v1/read HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(LARGE)}"
            )
            leaving.sendall(f"{head}\r\n\r\n".encode() + LARGE)
            assert comes_true(lambda: large_pictures(service) == 2)
        # Whoever leaves before the work has begun leaves no work behind.
        assert comes_true(lambda: large_pictures(service) == 1)
        os.kill(stopped[0], signal.SIGCONT)
        assert answers[0].result().status == 200
        assert comes_true(lambda: large_pictures(service) == 0)


SIDE = 5790
"""33.5 megapixels, as many as are allowed."""
WEBP_SIDE = 4090
"""16.7 megapixels: of a WebP, the decoder alone takes as much memory as is allowed."""


def bomb(kind: str) -> bytes:
    """Return a picture of 134 MB in a few hundred kB."""
    stream = io.BytesIO()
    if kind == "transparent":
        picture = Image.new("RGBA", (SIDE, SIDE), (255, 255, 255, 255))
        picture.paste((0, 0, 0, 255), (2500, 2000, 2900, 3500))
        picture.save(stream, format="PNG", compress_level=1)
    elif kind == "webp":
        picture = Image.new("RGB", (WEBP_SIDE, WEBP_SIDE), "white")
        picture.paste((0, 0, 0), (1500, 1000, 1800, 2500))
        picture.save(stream, format="WEBP", method=0)
    else:
        pixels = np.zeros((SIDE, SIDE), dtype=np.float32)
        pixels[2000:3500, 2500:2900] = 1
        Image.fromarray(pixels).save(stream, format="TIFF", compression="tiff_adobe_deflate")
    return stream.getvalue()


@pytest.mark.all
@pytest.mark.parametrize("kind", ["transparent", "float", "webp"])
def test_large_pictures_take_no_more_memory_together_than_one_may(kind: str) -> None:
    """What the unit allows is 512 MB; without any limit it was 1.3 GB for one, and 950 MB stayed."""
    picture = bomb(kind)
    with limited(reference_directory(), concurrency=2, wait_timeout_s=PATIENCE_S) as service:
        service.ask("/v1/read", noise(300, 200))
        before = service.memory()
        with service.watched() as most:
            for path in ("/v1/predict", "/v1/read"):
                assert {answer.status for answer in service.ask_all(path, [picture] * 2)} == {200}
        assert most[0] - before < 350e6
        assert service.memory() - before < 20e6
