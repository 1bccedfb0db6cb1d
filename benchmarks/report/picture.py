"""Take `docs/images/report.png`, the picture of a report on a desk and on a phone.

python -m benchmarks.report.picture exports/report.html
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.photograph import photograph, save_side_by_side
from tests.browser import WINDOWS, chromium, show

HEIGHT = 1180


def main() -> None:
    """Photograph the top of the page at both widths."""
    page = Path(sys.argv[1]).resolve().as_uri()
    shots = []
    with chromium() as browser:
        for window in WINDOWS:
            show(browser, page, window, height=HEIGHT)
            shots.append(photograph(browser))
    save_side_by_side(shots, "report.png")


if __name__ == "__main__":
    main()
