"""A reporter that remembers."""

from __future__ import annotations

from edgemnist.progress import Reporter


class Notices(Reporter):
    """Remembers what the user would have been told."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def notice(self, message: str) -> None:
        """Keep the message."""
        self.messages.append(message)
