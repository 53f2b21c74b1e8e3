"""The one exception for mistakes a user can mend.

The `medrl` command prints it in one line and exits with 2 (`pytest tests/test_cli.py`).
"""


class UserError(Exception):
    """Says in one line what is wrong, where, and what to do.

    A name or a value in it may come from a file: line ends, and signs that would steer a terminal,
    are written as escapes.
    """

    def __init__(self, message: str):
        signs = (one if one.isprintable() else repr(one)[1:-1] for one in message)
        super().__init__("".join(signs))
