"""The service, as a process of its own, asked over HTTP and through a real browser."""
