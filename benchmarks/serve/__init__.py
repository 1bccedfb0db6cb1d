"""What clients of the service wait for."""
