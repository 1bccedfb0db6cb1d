"""Let an older release of a board serve again."""
