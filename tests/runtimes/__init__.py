"""The promises of the runtimes."""
