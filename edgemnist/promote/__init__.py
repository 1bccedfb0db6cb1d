"""`edgemnist promote`: the release in the shadow takes over."""
