"""Making the likeness network."""
