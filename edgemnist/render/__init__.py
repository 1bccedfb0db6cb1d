"""Results as tables, bars and JSON. Beside `cli`, the only package that prints."""
