"""One page that says which file to ship, what it costs, and how that is known."""
