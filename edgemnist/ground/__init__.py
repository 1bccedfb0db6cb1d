"""What every other wing stands on: arrays, results, verdicts, storage, the console, pages of the web.

It imports `board`, for writes that last, and errors.
"""
