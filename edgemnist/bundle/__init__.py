"""One file that holds everything a board needs: artifacts, manifest, golden pack, the package, and their hashes.

`archive`, `record` and `signature` also run on the board, before edgemnist is installed there: standard library only.
"""
