"""Tests of edgemnist.ground.console."""
