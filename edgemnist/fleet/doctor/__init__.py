"""Is this machine fit for its models? Its facts become checks, each with the command that fixes what is wrong."""
