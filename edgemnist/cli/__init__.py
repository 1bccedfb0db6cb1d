"""Every command of `edgemnist`."""


def main() -> None:
    """Run the command line."""
