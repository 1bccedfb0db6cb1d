"""How good the search is, and what Ray costs it."""
