"""The export directory: artifacts, their record, and everything that was found out about them."""
