"""`edgemnist review`: people say what the samples are."""
