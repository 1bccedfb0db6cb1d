"""The promises of `edgemnist deploy`."""
