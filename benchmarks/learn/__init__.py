"""What the present model learns from samples."""
