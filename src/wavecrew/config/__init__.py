"""Configuration: every setting once (`parallel_config`), and where its value came from (`sources`)."""
