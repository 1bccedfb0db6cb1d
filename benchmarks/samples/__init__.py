"""What keeping samples costs."""
