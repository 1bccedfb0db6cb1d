"""The store of samples, and what is put into it."""
