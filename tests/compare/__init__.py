"""Two models in turns."""
