"""The promises of edgemnist."""
