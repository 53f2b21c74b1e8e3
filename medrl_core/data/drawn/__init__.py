"""The embedded world: drawn images of known facts."""
