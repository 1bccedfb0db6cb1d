"""A board: what a machine is, and what its own Python 3.9 runs before edgemnist is installed there (`agent`).

`agent` needs the standard library alone. This wing imports errors, and from the registry of runtimes their versions.
"""
