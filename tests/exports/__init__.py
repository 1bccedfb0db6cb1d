"""The export directory: what is recorded, what of that is still true, and that everybody says the same about it."""
