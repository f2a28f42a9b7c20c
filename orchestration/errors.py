"""The errors that a person can put right."""


class DriftlineError(Exception):
    """Something the user can put right, told in one clear sentence.

    The `driftline` command prints the sentence without a traceback and exits with 1.
    """


class WarehouseError(DriftlineError):
    """The warehouse can't be reached, started or used."""
