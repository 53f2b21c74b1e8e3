"""Answers with their verdicts written as other tools write them, one module a format."""
