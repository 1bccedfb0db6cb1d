"""One file with everything a board needs: artifacts, manifest, golden pack, the package, and the hash of each."""
