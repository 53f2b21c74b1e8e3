"""Numbers out of frozen towers: probes and their tables."""
