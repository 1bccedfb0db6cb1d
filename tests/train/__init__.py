"""Tests of `edgemnist.pipeline.train`."""
