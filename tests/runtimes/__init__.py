"""Every runtime keeps the contract of `edgemnist.runtimes.interface`."""
