"""From data to a verdict: `data`, `train`, `export`, `verify`, `bench`, `search`, `report` and `recommend`.

It imports `model` and what lies below.
"""
