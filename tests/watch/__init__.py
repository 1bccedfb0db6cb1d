"""Watching cameras, streams, videos and directories."""
