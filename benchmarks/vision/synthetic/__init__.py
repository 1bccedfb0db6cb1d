"""What the synthetic pictures of these benchmarks are made of."""
