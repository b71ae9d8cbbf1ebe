"""Scripts of the rules, one folder a stage, and the library they call."""
