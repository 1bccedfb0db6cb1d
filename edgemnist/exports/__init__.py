"""The export directory: artifacts, their record, and all findings about them."""
