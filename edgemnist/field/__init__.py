"""What a model meets in use: `samples`, `review`, `learn`, counts of answers (`drift`) and `health`.

It imports `pipeline` and what lies below.
"""
