"""The processes that decode pictures, as the service sees them: places, a time limit, and a way to end them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import multiprocessing
import os
import signal
import socket
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Final

import msgspec

from edgemnist.ground.results import UNREADABLE
from edgemnist.ground.web.refusals import RefusedError, busy
from edgemnist.serve import jobs
from edgemnist.serve.jobs import Classify, Elsewhere, End, Job, Needs, Normalized, Page, Refusal, Reply

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext

    from edgemnist.model.runtimes.interface import Classifier
    from edgemnist.serve.config import PictureLimits

SMALL_PIXELS: Final = 2**17
"""Of a picture that is answered in the lane for drawings, within a few milliseconds."""
EXIT_S: Final = 1.0
"""For a process that was killed."""
IDLE_S: Final = 60.0
"""After this long without a picture the processes end: on a small board their memory is needed elsewhere."""


class Memory:
    """Lets pictures be decoded only as long as they fit into memory together."""

    def __init__(self, limit: int) -> None:
        self._limit = self._free = limit
        self._freed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def reserve(self, size: int) -> AsyncIterator[None]:
        """Wait until `size` bytes are free, at most all, and have them for as long as the body runs."""
        size = min(size, self._limit)
        while size > self._free:
            self._freed.clear()
            await self._freed.wait()
        self._free -= size
        try:
            yield
        finally:
            self._free += size
            self._freed.set()


class Worker:
    """One process, which does one job at a time."""

    def __init__(self, limits: PictureLimits) -> None:
        """Start it, which takes milliseconds. Raises OSError if that is impossible."""
        self._limits = limits
        self._socket, theirs = socket.socketpair()
        with theirs:
            # Forked from a process that has imported all of it, whose memory it shares.
            self.process = _fork_server().Process(target=_work, args=(theirs, limits), daemon=True)
            self.process.start()

    async def connect(self) -> Worker:
        """Prepare to speak to it, and return it."""
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._socket)
        return self

    async def do(
        self, job: Job, body: IO[bytes], classifier: Classifier, memory: Memory, held: contextlib.AsyncExitStack
    ) -> tuple[End, bool]:
        """Return the end of a job, and whether the process may do another one; `held` holds its share of memory.

        Raises RefusedError where it takes too long, or ends the process.
        """
        large = False
        loop, patience_s = asyncio.get_running_loop(), self._limits.wait_timeout_s
        try:
            socket.send_fds(self._socket, [jobs.framed(msgspec.msgpack.encode(job))], [body.fileno()])
            async with asyncio.timeout(patience_s) as patience:
                while isinstance(reply := await self._reply(), Needs | Classify):
                    if isinstance(reply, Classify):
                        answers = await asyncio.to_thread(
                            classifier.predict_proba, jobs.images_of(reply.images, classifier.spec)
                        )
                        self._writer.write(jobs.framed(answers.tobytes()))
                        continue
                    # To wait for others is not the picture's fault.
                    patience.reschedule(None)
                    await held.enter_async_context(memory.reserve(reply.bytes))
                    patience.reschedule(loop.time() + patience_s)
                    large = True
                    self._writer.write(jobs.framed(b""))
        except TimeoutError:
            raise busy(f"The picture was not read in {patience_s:g} seconds: the machine is too busy") from None
        except (EOFError, OSError, *UNREADABLE) as error:
            await self.ended()
            raise self._refusal() from error
        # The process of a large picture ends with it: its memory is free before the next one gets it.
        return reply, not large

    async def _reply(self) -> Reply:
        (length,) = jobs.HEAD.unpack(await self._reader.readexactly(jobs.HEAD.size))
        reply: Reply = msgspec.msgpack.decode(await self._reader.readexactly(length), type=Reply)
        return reply

    def _refusal(self) -> RefusedError:
        """Return why the process has ended on its own."""
        if self.process.exitcode == -signal.SIGPROF:
            message = f"The picture took more than {self._limits.work_timeout_s:g} seconds to read, which is the limit"
        else:
            message = "The picture could not be decoded: it is damaged, or takes too much memory"
        hint = "Save it again as PNG or JPEG, or scale it down."
        return RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "unreadable-picture", message, hint)

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()
        self._writer.close()

    async def ended(self) -> None:
        """Wait for the end of a process that was killed."""
        await asyncio.to_thread(self.process.join, EXIT_S)


class Lane:
    """Workers for pictures of one kind, started when they are needed."""

    def __init__(self, count: int, waiting: int, limits: PictureLimits, memory: Memory) -> None:
        self._places, self._most = asyncio.Semaphore(count), count + waiting
        self._limits, self._memory = limits, memory
        self._idle: list[Worker] = []
        self._rests: asyncio.TimerHandle | None = None
        self._warming: asyncio.Task[None] | None = None
        self.jobs = 0
        """Jobs that run or wait."""

    async def run(self, job: Job, body: IO[bytes], classifier: Classifier) -> Normalized | Page | Elsewhere:
        """Return what a job comes to; to cancel this ends the work. Raises RefusedError where it cannot be done."""
        if self.jobs >= self._most:
            raise busy("The service is too busy at the moment")
        self.jobs += 1
        try:
            async with self._places, contextlib.AsyncExitStack() as held:
                worker, may_stay = await self._worker(), False
                try:
                    end, may_stay = await worker.do(job, body, classifier, self._memory, held)
                finally:
                    if may_stay:
                        self._idle.append(worker)
                    else:
                        worker.kill()
                        await worker.ended()
        finally:
            self.jobs -= 1
            self._rest_later()
        if isinstance(end, Refusal):
            raise RefusedError(HTTPStatus(end.status), end.error, end.message, end.hint)
        return end

    async def _worker(self) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.process.is_alive():
                return worker
            worker.kill()
        try:
            return await (await asyncio.to_thread(Worker, self._limits)).connect()
        except OSError as error:
            raise busy("The service cannot start a process for pictures at the moment") from error

    def warm_up(self) -> None:
        """Start a process: a picture is to come."""
        if self._warming is None and not self._idle and not self.jobs:
            self._warming = asyncio.get_running_loop().create_task(self._warm())
        self._rest_later()

    async def _warm(self) -> None:
        with contextlib.suppress(RefusedError):
            async with self._places:
                self._idle.append(await self._worker())
        self._warming = None

    def _rest_later(self) -> None:
        if self._rests is not None:
            self._rests.cancel()
        self._rests = asyncio.get_running_loop().call_later(IDLE_S, self._rest)

    def _rest(self) -> None:
        while self._idle:
            self._idle.pop().kill()

    def close(self) -> None:
        """End all processes, once no job is under way and the event loop has ended."""
        for worker in self._idle:
            worker.process.kill()


def _work(connection: socket.socket, limits: PictureLimits) -> None:
    # Late: the service itself never looks at a picture, and has 10 MB less without what can.
    from edgemnist.serve.worker import work

    work(connection, limits)


@functools.cache
def _fork_server() -> ForkServerContext:
    # The buffers of more threads would count against the memory of the pictures.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["edgemnist.serve.preload"])
    return context
