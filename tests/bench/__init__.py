"""Timing, processes, and facts about the host."""
