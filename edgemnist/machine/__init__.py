"""What this machine is, and the state it is in."""
