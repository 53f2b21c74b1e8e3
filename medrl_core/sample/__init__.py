"""Answers out of a model: decoding, sampling and the rollout store."""
