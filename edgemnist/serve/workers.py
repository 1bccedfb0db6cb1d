"""The processes that decode pictures, as the service sees them: a queue, a time limit, and a way to end them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from http import HTTPStatus
from multiprocessing.connection import Connection
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import msgspec

from edgemnist.results import UNREADABLE
from edgemnist.serve import jobs
from edgemnist.serve.jobs import Classify, Job, Needs, Normalized, Page, Refusal, Reply
from edgemnist.serve.limits import Memory, MemoryFile
from edgemnist.serve.refusals import RefusedError, busy, stopping

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

    from edgemnist.runtimes.interface import Classifier
    from edgemnist.serve.config import Limits

P = ParamSpec("P")
T = TypeVar("T")

SMALL_PIXELS: Final = 2**17
"""Of a picture that is answered in the lane for drawings, within a few milliseconds."""
STARTS: Final = 3
"""So often a process is started before the client is told to come again."""
EXIT_S: Final = 1.0
"""For a process that was killed."""
IDLE_S: Final = 60.0
"""After so long without a picture the processes end: on a small board their memory is needed elsewhere."""
PATIENCE: Final = 6
"""Seconds for each second of the processor that a picture may take, where others keep it busy."""


class NotSmallError(Exception):
    """A picture belongs in the lane for large ones."""


class Threads:
    """Threads, and a queue of limited length in front of them."""

    def __init__(self, name: str, concurrency: int, waiting: int) -> None:
        self._executor = ThreadPoolExecutor(concurrency, thread_name_prefix=name)
        self._most = concurrency + waiting
        self._jobs: set[Future[Any]] = set()

    @property
    def jobs(self) -> int:
        """Return how many run or wait."""
        return len(self._jobs)

    async def run(self, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Call a function in a thread. Raises RefusedError where too many are waiting already."""
        if self.jobs >= self._most:
            raise busy("The service is too busy at the moment")
        future = self.submit(functools.partial(function, *arguments, **options))
        self._jobs.add(future)
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: self._done(future, loop))
        return await asyncio.wrap_future(future)

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Call a function in a thread, whoever waits."""
        return self._executor.submit(function)

    def _done(self, future: Future[Any], loop: asyncio.AbstractEventLoop) -> None:
        # Where the loop has been closed meanwhile, nobody counts any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._jobs.discard, future)

    def close(self, patience_s: float) -> bool:
        """Drop what waits, and give what runs so much time. Return whether it has ended."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        return not wait(self._jobs, patience_s).not_done


class Call:
    """One job on its way: may be cancelled from another thread at any time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: ForkServerProcess | None = None
        self.cancelled = False
        """Whether its process may have been killed, though the work was done."""

    @contextlib.contextmanager
    def on(self, process: ForkServerProcess) -> Any:  # noqa: ANN401 - a context manager's own type
        """Let the process be killed for as long as the body runs. Raises RefusedError where that comes too late."""
        with self._lock:
            if self.cancelled:
                raise stopping()
            self._process = process
        try:
            yield
        finally:
            with self._lock:
                self._process = None

    def cancel(self) -> None:
        """End the work at once."""
        with self._lock:
            self.cancelled = True
            if self._process is not None:
                self._process.kill()


class Worker:
    """One process, started when it is needed, and again when it has ended."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # The service may end while a thread starts its process.
        self._lock = threading.RLock()
        self._working = threading.Lock()
        self._closed = False
        self._process: ForkServerProcess | None = None
        self._pipe: Connection | None = None

    def start(self) -> tuple[ForkServerProcess, Connection]:
        """Return the process and the way to it. Raises RefusedError where the service ends, or none can be started."""
        with self._lock:
            if self._closed:
                raise stopping()
            if self._process is not None and self._pipe is not None and self._process.is_alive():
                return self._process, self._pipe
            self.stop()
            for attempt in range(1, STARTS + 1):
                pipe, theirs = multiprocessing.Pipe()
                # Forked from a process that has imported all of it: that takes milliseconds, and shares the memory.
                process = _fork_server().Process(target=_work, args=(theirs, self._limits), daemon=True)
                try:
                    process.start()
                except OSError as error:
                    # It ended before it had its orders.
                    pipe.close()
                    if attempt == STARTS:
                        raise busy("The service cannot start a process for pictures at the moment") from error
                else:
                    self._process, self._pipe = process, pipe
                    break
                finally:
                    theirs.close()
            return process, pipe

    def stop(self, *, for_good: bool = False) -> None:
        """Kill the process."""
        with self._lock:
            self._closed = self._closed or for_good
            if self._pipe is not None:
                self._pipe.close()
            if self._process is not None:
                self._process.kill()
                self._process.join(EXIT_S)
            self._process = self._pipe = None

    def rest(self) -> None:
        """Kill the process, unless it has work again."""
        if self._working.acquire(blocking=False):
            try:
                self.stop()
            finally:
                self._working.release()

    def do(
        self, job: Job, body: MemoryFile, call: Call, classifier: Classifier, memory: Memory, *, most_pixels: int | None
    ) -> Reply:
        """Return the end of a job.

        Raises RefusedError where it takes too long, or ends the process; and NotSmallError where the pictures have more
        than `most_pixels`.
        """
        with self._working:
            return self._ask(job, body, call, classifier, memory, most_pixels=most_pixels)

    def _ask(
        self, job: Job, body: MemoryFile, call: Call, classifier: Classifier, memory: Memory, *, most_pixels: int | None
    ) -> Reply:
        process, pipe = self.start()
        done = large = elsewhere = False
        try:
            with call.on(process), contextlib.ExitStack() as reserved:
                pipe.send_bytes(msgspec.msgpack.encode(job))
                jobs.send_file(pipe, body.descriptor)
                deadline = monotonic() + PATIENCE * self._limits.work_timeout_s
                while isinstance(reply := self._reply(pipe, deadline), Needs | Classify):
                    if isinstance(reply, Classify):
                        pipe.send_bytes(classifier.predict_proba(jobs.images_of(reply.images)).tobytes())
                        continue
                    if most_pixels is not None and reply.pixels > most_pixels:
                        elsewhere = True
                        pipe.send_bytes(b"")
                        continue
                    # To wait for others is not the picture's fault.
                    waiting = monotonic()
                    reserved.enter_context(memory.reserve(reply.bytes))
                    deadline += monotonic() - waiting
                    large = reply.bytes >= jobs.LARGE_BYTES
                    pipe.send_bytes(b"go")
                done = True
                # The process of a large picture ends with it: its memory is free before the next one gets it.
                if large:
                    self.stop()
        except (EOFError, OSError, *UNREADABLE) as error:
            raise self._ended(process) from error
        else:
            if elsewhere:
                raise NotSmallError
            return reply
        finally:
            if not done or call.cancelled:
                self.stop()

    def _reply(self, pipe: Connection, deadline: float) -> Reply:
        if not pipe.poll(max(0.0, deadline - monotonic())):
            raise self._too_slow()
        reply: Reply = msgspec.msgpack.decode(pipe.recv_bytes(), type=Reply)
        return reply

    def _ended(self, process: ForkServerProcess) -> RefusedError:
        """Return why a process has ended on its own."""
        process.join(EXIT_S)
        if process.exitcode == -signal.SIGPROF:
            return self._too_slow()
        return _unreadable("The picture could not be decoded: it is damaged, or takes too much memory")

    def _too_slow(self) -> RefusedError:
        return _unreadable(
            f"The picture took more than {self._limits.work_timeout_s:g} seconds to read, which is the limit"
        )


class Lane:
    """Workers for pictures of one kind, each with a thread that speaks to it."""

    def __init__(self, name: str, count: int, waiting: int, limits: Limits, memory: Memory) -> None:
        self._threads = Threads(name, count, waiting)
        self._memory = memory
        self._limits = limits
        self._own = threading.local()
        self._calls: set[Call] = set()
        self._workers: list[Worker] = []
        self._idle: asyncio.TimerHandle | None = None
        self._cold = True

    @property
    def jobs(self) -> int:
        """Return how many run or wait."""
        return self._threads.jobs

    async def run(
        self, job: Job, body: MemoryFile, classifier: Classifier, *, most_pixels: int | None = None
    ) -> Normalized | Page:
        """Return what a job comes to; to cancel this ends the work.

        Raises RefusedError where it cannot be done, and NotSmallError where it belongs elsewhere.
        """
        call = Call()
        self._cold = False
        self._calls.add(call)
        try:
            reply = await self._threads.run(
                lambda: self._worker().do(job, body, call, classifier, self._memory, most_pixels=most_pixels)
            )
        finally:
            self._calls.discard(call)
            call.cancel()
            self._rest_later()
        if isinstance(reply, Refusal):
            raise RefusedError(HTTPStatus(reply.status), reply.error, reply.message, reply.hint)
        if not isinstance(reply, Normalized | Page):
            raise TypeError("a worker has ended with a question")
        return reply

    def warm_up(self) -> None:
        """Start a process: a picture is to come."""
        if self._cold:
            self._cold = False
            self._threads.submit(lambda: self._worker().start())
        self._rest_later()

    def _rest_later(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(IDLE_S, self._rest)

    def _rest(self) -> None:
        if self.jobs:
            self._rest_later()
            return
        self._cold = True
        for one in list(self._workers):
            # To wait for the end of a process is not the event loop's business.
            self._threads.submit(one.rest)

    def _worker(self) -> Worker:
        if not hasattr(self._own, "worker"):
            self._own.worker = Worker(self._limits)
            self._workers.append(self._own.worker)
        own: Worker = self._own.worker
        return own

    def close(self, patience_s: float) -> bool:
        """End all work and all processes. Return whether the threads have ended in time."""
        for call in list(self._calls):
            call.cancel()
        ended = self._threads.close(patience_s)
        for one in list(self._workers):
            one.stop(for_good=True)
        return ended


def _work(connection: Connection, limits: Limits) -> None:
    # Late: the service itself never looks at a picture, and has 10 MB less without what can.
    from edgemnist.serve.worker import work

    work(connection, limits)


@functools.cache
def _fork_server() -> multiprocessing.context.ForkServerContext:
    # The buffers of more threads would count against the memory of the pictures.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["edgemnist.serve.preload"])
    return context


def _unreadable(message: str) -> RefusedError:
    return RefusedError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "unreadable-picture",
        message,
        "Save it again as PNG or JPEG, or scale it down.",
    )
