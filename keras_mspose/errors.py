"""The one exception that means: the user can mend this. The command line prints it in a line and exits with 2."""


class MsposeError(Exception):
    """Bad input. The message names the file, the record or field, what was expected and what to do."""


class NotWritten(MsposeError):
    """A result that cannot be written: the disk is full or may not be written, which no other input would change."""
