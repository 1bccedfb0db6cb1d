"""The answers of a board in numbers: counts of confidence, classes and ink, and what has changed."""
