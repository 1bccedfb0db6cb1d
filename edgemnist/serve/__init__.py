"""`edgemnist serve`: a page to draw on, and an HTTP interface to `predict` and `read`.

`run` opens the socket, and `routes` answers each request that the guard of `edgemnist.ground.web` lets through.
Pictures are decoded by `worker`, in processes that `workers` starts and kills.
"""
