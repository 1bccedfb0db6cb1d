"""What has to hold after every fault."""

from __future__ import annotations

from edgemnist.fleet.deploy.run import DeployConfig, LocalBundle, deploy_to
from tests.deploy.loopback import LoopbackBoard


def the_next_try_succeeds(board: LoopbackBoard, bundle: LocalBundle) -> None:
    """See that `releases` tells the truth, and that the same command, once the cause is gone, ends well."""
    board.everything_is_whole()
    assert deploy_to(board.target, bundle, DeployConfig(retries=0), lambda _: None).fault is None
    assert board.serves() == bundle.record.identity()[:12]
    board.everything_is_whole()
