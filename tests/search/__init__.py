"""Tests of `edgemnist.pipeline.search`."""
