"""Releases that boards fetch."""
