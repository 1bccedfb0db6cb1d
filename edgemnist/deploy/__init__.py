"""Bring a bundle to a board, try it there, switch to it, and get back if it goes wrong.

`board/` is the part that runs on the board, before edgemnist is installed there: standard library only. It is sent
along as one file and does everything that has to be whole; this side connects, transfers and tells.
"""
