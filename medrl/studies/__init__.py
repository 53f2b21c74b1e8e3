"""Studies: parameters, run folders, manifests, staleness and sweeps."""
