"""Bring a bundle to a board, test it there, switch to it, and go back if it fails: with `edgemnist.board.agent`."""
