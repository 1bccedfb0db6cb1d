"""Tests of edgemnist.render."""
