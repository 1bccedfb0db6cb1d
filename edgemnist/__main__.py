"""`python -m edgemnist`, and the program `edgemnist`."""

import gc
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, also while the command line is imported.

    SIGTERM and SIGHUP do what Ctrl-C does. Otherwise they would end Python at once, without a word, leaving temporary
    directories behind and the processes that it has started running.
    """
    try:
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            # What `nohup` told this process to ignore stays ignored.
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _interrupt)
        from edgemnist.app import main as run

        run()
    except KeyboardInterrupt:
        from edgemnist.errors import EXIT_INTERRUPTED

        sys.stderr.write("interrupted\n")
        sys.exit(EXIT_INTERRUPTED)
    finally:
        # The process ends: to look through all that was imported for garbage would take a tenth of `predict`.
        gc.freeze()


def _interrupt(number: int, frame: FrameType | None) -> None:
    # The second one ends the process at once.
    signal.signal(number, signal.SIG_DFL)
    ctrl_c = signal.getsignal(signal.SIGINT)
    # In the background of a script, Ctrl-C is ignored, and these are not.
    if not callable(ctrl_c):
        raise KeyboardInterrupt
    ctrl_c(signal.SIGINT, frame)


if __name__ == "__main__":
    main()
