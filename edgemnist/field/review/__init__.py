"""`edgemnist review`: people label the samples."""
