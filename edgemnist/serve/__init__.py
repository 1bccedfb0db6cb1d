"""`edgemnist serve`: a page to draw on, and an HTTP interface to `predict` and `read`.

`run` opens the socket, `server` limits each connection, `middleware` checks each request, and `routes` answers it.
Pictures are decoded by `worker`, in processes that `workers` starts and kills.
"""
