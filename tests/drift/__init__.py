"""Counts of answers, and what has changed in them."""
