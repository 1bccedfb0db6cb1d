"""The promises of `edgemnist bundle`."""
