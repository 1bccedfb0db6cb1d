"""Learning from labelled samples, and the gate before what was learnt replaces anything."""
