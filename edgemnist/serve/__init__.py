"""`edgemnist serve`: a page to draw on, and an HTTP interface to `predict` and `read`.

`run` opens the socket and runs the server, `protocol` guards the connection, `guard` each request, `routes` answers it;
`work` is what an answer consists of, on bytes in memory, without HTTP.
"""
