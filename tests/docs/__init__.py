"""The README and the book."""
