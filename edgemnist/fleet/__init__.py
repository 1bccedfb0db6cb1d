"""How a model reaches boards and comes back: `bundle`, `deploy`, `release` and `doctor`.

It imports `field` and what lies below.
"""
