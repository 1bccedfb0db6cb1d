"""`edgemnist predict`."""
