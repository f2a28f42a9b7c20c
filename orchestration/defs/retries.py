"""When a step is tried again: if the database was away, or refused for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import psycopg

from orchestration.errors import WarehouseError
from orchestration.transient import is_transient

_Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext

_MAX_RETRIES = 3
_FIRST_WAIT_SECONDS = 20


@contextmanager
def retried(context: _Context) -> Iterator[None]:
    """Have Dagster run the step once more after a failure that passes by itself."""
    try:
        yield
    except (psycopg.Error, WarehouseError) as error:
        if not is_transient(error):
            raise
        raise retry(context) from error


def retry(context: _Context) -> dg.RetryRequested:
    """What to raise: three more tries, after 20, 40 and 80 seconds."""
    return dg.RetryRequested(
        max_retries=_MAX_RETRIES,
        seconds_to_wait=_FIRST_WAIT_SECONDS * 2**context.retry_number,
    )
