"""The releases on a board: which there are, which one serves, and the switch to another."""
