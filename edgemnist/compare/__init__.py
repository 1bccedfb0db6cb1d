"""Two models timed against each other, in turns."""
