"""Reading a camera, a video or a directory for as long as it lasts.

`sources` and `capture` give frames; `run` tells which are worth reading, and what several of them agree on.
"""
