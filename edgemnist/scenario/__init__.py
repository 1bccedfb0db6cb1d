"""Models under a load, in the terms of MLPerf Inference."""
