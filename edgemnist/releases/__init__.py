"""What is on a board, and what serves."""
