"""Parity, gates and what is remembered of them."""
