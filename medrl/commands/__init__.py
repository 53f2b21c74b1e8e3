"""The `medrl` command, one module a group of commands."""
