"""`edgemnist learn`: the present model learns from labelled samples, and has to prove it."""
