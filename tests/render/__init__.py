"""Tests of edgemnist.console."""
