"""Bring a bundle to a board, test it there, switch to it, and go back if it fails.

`edgemnist.agent` is the part that runs on the board, before edgemnist is installed there: standard library only. It is
sent as one file and makes every change that must be complete or not happen; this side connects, transfers and reports.
"""
