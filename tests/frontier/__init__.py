"""The frontier of sizes."""
