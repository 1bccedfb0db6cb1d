"""A service that nobody asks takes no more memory than its model: the processes for pictures come and go with them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

import pytest

from edgemnist.exports import Exports, reference_directory
from edgemnist.runtimes.interface import Classifier
from edgemnist.serve import workers
from edgemnist.serve.config import Limits
from edgemnist.serve.jobs import Normalized, PredictJob, Reply
from edgemnist.serve.limits import Memory, MemoryFile
from edgemnist.serve.refusals import RefusedError
from edgemnist.serve.workers import Lane
from tests.serve.service import png, serving, seven

PATIENCE_S = 60


def comes_true(claim: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE_S
    while not (true := claim()) and time.monotonic() < end:
        time.sleep(0.02)
    return true


@pytest.mark.parametrize("opened", [True, False])
def test_processes_for_pictures_start_when_the_page_is_opened_or_a_picture_comes(*, opened: bool) -> None:
    with serving(reference_directory()) as service:
        assert service.ask("/healthz").status == 200
        assert len(service.processes()) == 1
        assert service.memory() < 60e6
        answer = service.ask("/") if opened else service.ask("/v1/predict", png(seven()))
        assert answer.status == 200
        assert comes_true(lambda: len(service.processes()) > 1)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Exports.open(reference_directory()).load()


def test_an_idle_process_ends_and_comes_back_with_the_next_picture(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "IDLE_S", 0.05)
    limits = Limits()
    lane = Lane("drawings", 1, 4, limits, Memory(limits.decoded_bytes))
    job = PredictJob(batch=False, digits=True)

    async def play() -> None:
        for _ in range(2):
            body = MemoryFile()
            body.append(png(seven()))
            found = await lane.run(job, body, classifier)
            assert isinstance(found, Normalized)
            (worker,) = lane._workers
            process = worker._process
            assert process is not None
            await asyncio.to_thread(process.join, PATIENCE_S)
            assert not process.is_alive()

    with contextlib.closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(asyncio.wait_for(play(), PATIENCE_S))
    lane.close(5)


def test_a_process_at_work_does_not_rest() -> None:
    worker = workers.Worker(Limits(max_pixels=1000, max_images=1, work_timeout_s=1))
    process, _ = worker.start()
    with worker._working:
        worker.rest()
        assert process.is_alive()
    worker.rest()
    assert not process.is_alive()
    worker.stop(for_good=True)


def test_a_process_that_is_killed_when_its_work_is_done_gets_no_more_of_it(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits, body, call = Limits(), MemoryFile(), workers.Call()
    body.append(png(seven()))
    worker = workers.Worker(limits)
    receive = worker._reply

    def reply_and_leave(pipe: Connection, deadline: float) -> Reply:
        reply = receive(pipe, deadline)
        if isinstance(reply, Normalized):
            call.cancel()
        return reply

    monkeypatch.setattr(worker, "_reply", reply_and_leave)
    job = PredictJob(batch=False, digits=True)
    found = worker.do(job, body, call, classifier, Memory(limits.decoded_bytes), most_pixels=None)
    assert isinstance(found, Normalized)
    assert worker._process is None
    worker.stop(for_good=True)


@pytest.mark.parametrize("failures", [2, 3])
def test_a_process_that_cannot_be_started_is_tried_again_and_then_told(
    failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, tried = ForkServerProcess.start, []

    def start(process: ForkServerProcess) -> None:
        tried.append(process)
        if len(tried) <= failures:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        begin(process)

    monkeypatch.setattr(ForkServerProcess, "start", start)
    worker = workers.Worker(Limits(max_pixels=1000, max_images=1, work_timeout_s=1))
    if failures < workers.STARTS:
        process, _ = worker.start()
        assert process.is_alive()
    else:
        with pytest.raises(RefusedError) as refused:
            worker.start()
        assert refused.value.status == 503
    assert len(tried) == 3
    worker.stop(for_good=True)
