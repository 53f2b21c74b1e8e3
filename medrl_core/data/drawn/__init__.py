"""The drawn world: drawn images of known facts."""
