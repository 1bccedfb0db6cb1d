"""Is this machine fit for its models? BoardFacts are collected, judged, and each finding says how to mend it.

`facts` and `probes` also run on a board before edgemnist is installed there: standard library only.
"""
