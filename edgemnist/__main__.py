"""`python -m edgemnist`, and the program `edgemnist`."""

import sys


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, also while the command line is imported."""
    try:
        from edgemnist.app import main as run

        run()
    except KeyboardInterrupt:
        from edgemnist.errors import EXIT_INTERRUPTED

        sys.stderr.write("interrupted\n")
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
