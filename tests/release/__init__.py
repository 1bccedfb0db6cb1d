"""When the release in the shadow takes over."""
