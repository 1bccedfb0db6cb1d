"""Which model to ship to this board, and why."""
