"""The review of samples: its page in a real browser, and data sets in and out."""
