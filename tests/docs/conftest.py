"""What the blocks of the book need."""

from tests.deploy.conftest import board, installed, new_board, new_bundle, old_bundle, sshd
from tests.report.conftest import known_exports
from tests.serve.conftest import service

__all__ = ["board", "installed", "known_exports", "new_board", "new_bundle", "old_bundle", "service", "sshd"]
