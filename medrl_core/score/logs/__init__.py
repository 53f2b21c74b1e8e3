"""Readers of other tools' logs: one module a format, one contract (`log.Log`)."""
