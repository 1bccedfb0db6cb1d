"""Timing, processes, facts about the host and recommendations."""
