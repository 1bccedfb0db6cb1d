"""The commands that mend what is wrong with the software of a machine: of this one, or of a board."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Means:
    """What there is to mend a machine with."""

    pip: str | None = "pip"
    """The pip that installs where edgemnist is installed; None where it is not, and a deployment brings everything."""
    board: str | None = None
    """The words that name the board behind `--to` and `--on`, quoted for a shell; None for this machine."""

    def install(self, requirement: str) -> str:
        """Return the command that brings a package."""
        return self.deploy if self.pip is None else f'{self.pip} install "{requirement}"'

    def verify(self, artifact: str) -> str:
        """Return the command that looks at an artifact more closely."""
        return f"edgemnist verify {artifact}" + (f" --on {self.board}" if self.board else "")

    def renew(self, hint: str) -> str:
        """Return how a file is brought anew: on this machine as `hint` says, on a board by another deployment."""
        return self.deploy if self.board else hint

    @property
    def deploy(self) -> str:
        """The command that brings packages and artifacts to the board."""
        return f"edgemnist deploy BUNDLE --to {self.board or 'HOST'}"


HERE = Means()
