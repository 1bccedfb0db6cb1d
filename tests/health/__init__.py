"""What counts say about a model."""
