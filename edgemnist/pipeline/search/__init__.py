"""The search for small networks: which fit within limits of bytes, memory and time, and how accurate they are."""
