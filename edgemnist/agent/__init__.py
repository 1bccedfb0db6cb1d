"""What runs on the board: the store of releases, and the steps from a bundle to a release that serves.

Layout of the directory that edgemnist keeps there:

    current -> releases/3-1f2e3d4c5b6a   the release that serves; switched by one rename
    shadow -> releases/4-5a6b7c8d9e0f    where it exists, the release that answers beside the one that serves
    releases/<sequence>-<identity>/      self-tested releases: bundle.json, exports/, venv -> ../../venvs/<key>
    venvs/<key>/                         packages, shared by the releases that need the same ones
    staging/                             work in progress; whatever a crash left here is removed
    incoming/<sha256>.<token>            bundles on their way, a file for each deployment
    pending.json                         a switch whose service has not been seen healthy yet
    history.json                         what was deployed under a signature, for refusing a downgrade
    allowed_signers                      where it exists, only bundles signed by one of these are taken
    board.toml                           which service to restart, if it is not the systemd unit `edgemnist`
    lock                                 held by the one process that may change anything
"""

from __future__ import annotations
