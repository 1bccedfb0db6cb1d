"""Models under a load."""
