"""`edgemnist watch` in a thread, for tests that change the world while it looks."""

import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Self

from edgemnist.digits.results import WatchReading
from edgemnist.digits.watch.run import watch
from edgemnist.digits.watch.sources import WatchConfig
from edgemnist.model.runtimes.interface import Classifier
from tests.notices import Notices
from tests.patience import PATIENCE_S


class Watcher:
    """Watches until the context is left."""

    def __init__(self, source: str, classifier: Classifier, config: WatchConfig) -> None:
        self.readings: list[WatchReading] = []
        self.notices = Notices()
        self.error: BaseException | None = None
        self._stop = Event()

        def work() -> None:
            try:
                watch(source, classifier, config, emit=self.readings.append, stop=self._stop, reporter=self.notices)
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                self.error = error

        self._thread = Thread(target=work, daemon=True)

    def texts(self) -> list[str]:
        """Return what was read, without repetitions."""
        texts = [" ".join(number.text for number in reading.numbers) for reading in self.readings]
        return [text for index, text in enumerate(texts) if text and (index == 0 or texts[index - 1] != text)]

    def wait(self, condition: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
        """Wait until a condition holds; fails after so many seconds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (
                f"read {self.texts()}, told {self.notices.messages}, failed with {self.error}"
            )
            time.sleep(0.02)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "it does not stop"
