"""The one exception that means: the user can mend this. The command line prints it in a line and exits with 2."""


class MsposeError(Exception):
    """Bad input. The message names the file, the record or field, what was expected and what to do."""
