"""A release that answers beside the one that serves."""
