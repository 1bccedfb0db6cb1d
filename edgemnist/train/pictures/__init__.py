"""Looking at a training: PNG files for the export directory."""
