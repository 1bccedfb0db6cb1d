"""A service that nobody asks takes no more memory than its model: the processes for pictures come and go with them."""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from edgemnist.ground.web.bodies import memory_file
from edgemnist.ground.web.refusals import RefusedError
from edgemnist.model.exports import Exports, reference_directory
from edgemnist.model.runtimes.interface import Classifier
from edgemnist.model.task import default_task
from edgemnist.serve import workers
from edgemnist.serve.config import PictureLimits
from edgemnist.serve.jobs import Normalized, PredictJob
from edgemnist.serve.workers import Lane, Memory
from tests.patience import PATIENCE_S, comes_true
from tests.serve.service import png, serving, seven


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


def played(classifier: Classifier, play: Callable[[Lane, Callable[[], Any]], Any]) -> None:
    """Play something with a lane, and what has it read a 7."""
    limits = PictureLimits()

    async def run() -> None:
        lane = Lane(1, 4, limits, Memory(limits.decoded_bytes))

        async def read() -> None:
            with memory_file() as body:
                body.write(png(seven()))
                body.flush()
                job = PredictJob(batch=False, task=default_task(), max_pixels=limits.max_pixels)
                assert isinstance(await lane.run(job, body, classifier), Normalized)

        await play(lane, read)
        lane._rest()

    asyncio.run(asyncio.wait_for(run(), PATIENCE_S))


def test_an_idle_process_ends_and_comes_back_with_the_next_picture(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "IDLE_S", 0.05)

    async def play(lane: Lane, read: Callable[[], Any]) -> None:
        for _ in range(2):
            await read()
            (worker,) = lane._idle
            await worker.ended()
            assert not worker.process.is_alive()

    played(classifier, play)


def test_a_process_that_was_killed_is_replaced_and_one_that_does_not_start_is_told(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(lane: Lane, read: Callable[[], Any]) -> None:
        await read()
        (worker,) = lane._idle
        assert worker.process.pid
        os.kill(worker.process.pid, signal.SIGKILL)
        await worker.ended()
        await read()
        assert lane._idle != [worker]
        lane._rest()

        def fail(_: object) -> None:
            raise BrokenPipeError

        monkeypatch.setattr(workers, "Worker", fail)
        with pytest.raises(RefusedError) as refused:
            await read()
        assert refused.value.status == 503

    played(classifier, play)


def test_pictures_wait_for_memory_and_the_largest_gets_all_of_it() -> None:
    async def play() -> None:
        memory = Memory(100)
        order: list[str] = []

        async def second() -> None:
            async with memory.reserve(1000):
                order.append("second")

        async with memory.reserve(60):
            waiting = asyncio.create_task(second())
            async with memory.reserve(40):
                await asyncio.sleep(0.01)
                order.append("first")
        await waiting
        assert order == ["first", "second"]
        # It is free again after a picture that failed.
        with pytest.raises(ValueError, match="broken"):
            async with memory.reserve(100):
                raise ValueError("broken")
        async with memory.reserve(100):
            pass

    asyncio.run(asyncio.wait_for(play(), PATIENCE_S))
