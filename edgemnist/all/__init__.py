"""Everything once: train, export, verify, bench, and which model to ship."""
