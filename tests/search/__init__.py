"""Tests of `edgemnist.search`."""
