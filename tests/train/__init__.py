"""Tests of `edgemnist.train`."""
