"""Two models against each other, in turns."""
