"""Latency, throughput and cost of each artifact in its runtime, measured in fresh processes."""
