"""The workshop around the core: studies, the book, labs and the `medrl` command."""
