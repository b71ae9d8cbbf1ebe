"""Where scans come from: a module for each kind of input, and the list of scans that they make together."""
