"""What the network that judges readings by what stands beside them learns from.

`pages` draws whole pages, on a `sheet`: handwritten digits among all that stands beside digits on paper, with the truth
about each.
"""
