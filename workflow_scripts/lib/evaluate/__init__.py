"""Ask a representation what it knows: resampled linear probes, their metrics and the tests between representations."""
