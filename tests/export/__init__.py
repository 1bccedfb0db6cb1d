"""The promises of the exporters."""
