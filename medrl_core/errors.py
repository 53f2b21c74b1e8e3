"""The one exception for mistakes a user can mend.

The `medrl` command prints it in one line and exits with 2 (`pytest tests/test_cli.py`).
"""


class UserError(Exception):
    """Says in one line what is wrong, where, and what to do."""
