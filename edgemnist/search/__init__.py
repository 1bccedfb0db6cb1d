"""The search for small networks: what fits within limits of bytes, memory and time, and how accurate it is."""
