"""Which failures of the database pass by themselves, so that it helps to try again.

A server that restarts, a connection that is cut, a deadlock that this side lost. No
wrong password, no missing table, no query that takes too long: those stay.
"""

import re
from collections.abc import Sequence

import psycopg

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_STATES = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "53300",  # too_many_connections
        "55P03",  # lock_not_available
        "57P01",  # admin_shutdown
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now
        "57P05",  # idle_session_timeout
    }
)

# For what has no code: a refused connection, and what dbt passes on as text.
_MESSAGE = re.compile(
    r"connection refused"
    r"|connection (?:has been |was |is )?(?:already )?(?:closed|lost|reset)"
    r"|closed the connection unexpectedly"
    r"|could not receive data from server"
    r"|SSL SYSCALL error"
    r"|terminating connection (?:due to|because of)"
    r"|the database system is (?:starting|shutting|not yet accepting|in recovery)"
    r"|too many clients"
    r"|remaining connection slots"
    r"|deadlock detected"
    r"|could not serialize access"
    r"|could not obtain lock"
    r"|canceling statement due to (?:lock timeout|conflict with recovery)"
    r"|temporary failure in name resolution"
    r"|timeout expired|timed out"
    r"|network is unreachable|no route to host",
    re.IGNORECASE,
)


def is_transient(error: BaseException) -> bool:
    """Whether the database was away, or refused for a reason that passes.

    Looks at an error of psycopg, or at the one that caused ``error``.
    """
    found: BaseException | None = error
    while found is not None and not isinstance(found, psycopg.Error):
        found = found.__cause__
    if not isinstance(found, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    if found.sqlstate is not None:
        return found.sqlstate in _STATES or found.sqlstate.startswith("08")
    return _MESSAGE.search(str(found)) is not None


def are_transient(messages: Sequence[str]) -> bool:
    """Whether all that failed, as dbt tells it, did so for a reason that passes.

    A model that is wrong fails again, so one of them is enough for False; so is nothing
    that failed.
    """
    return bool(messages) and all(_MESSAGE.search(each) for each in messages)
