"""The promises of `edgemnist.data`."""
