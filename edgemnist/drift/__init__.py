"""What the answers of a board look like in numbers: counts of confidence, classes and ink, and what has changed."""
