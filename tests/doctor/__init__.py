"""The promises of `edgemnist doctor`."""
