"""Images and labels: where they come from, and what is checked about them."""
