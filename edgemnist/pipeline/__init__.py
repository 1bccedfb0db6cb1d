"""From data to a verdict: `data`, `train`, `export`, `verify`, `bench`, `search` and `report`.

It imports `model` and what lies below.
"""
