"""The task of digits: how a picture is prepared (`images`), and `predict`, `read` and `watch`.

It imports `pipeline` and what lies below.
"""
