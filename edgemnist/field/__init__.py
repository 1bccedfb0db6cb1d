"""What a model meets in use: `samples`, `review`, `learn`, counts of answers (`drift`), `health`, and the `shadow`.

It imports `digits` and what lies below.
"""
