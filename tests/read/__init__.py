"""Reading whole pages."""
