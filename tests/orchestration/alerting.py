"""What the tests of alerting share: incidents by hand, and receivers on loopback."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg

from orchestration import warehouse
from orchestration.alerting.incidents import Incident
from orchestration.warehouse import ConnectionSettings

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

# Of what a client can put into a column, a segment or a note.
HOSTILE = (
    "<script>alert('x')</script> \"quoted\" & *bold* _it_ `code` <!channel> @here "
    "<https://evil.example|click> 🔥 \x1b[31mred\x07 \u202egnp.exe\r\n"
    "Bcc: eve@evil.example"
)

INCIDENT = Incident(
    incident_id="9f2c01ab34cd",
    monitor="flight_delay",
    owner="team-flights",
    title=(
        "flight_delay: null rate of humidity is 57.7 % (541 of 938 rows), above 20 %, "
        "and more"
    ),
    severity="warning",
    state="open",
    is_muted=False,
    started_at=NOW - 3 * HOUR,
    opened_at=NOW - 2 * HOUR,
    closed_at=None,
    last_alert_at=NOW - HOUR,
    families=("data_quality", "drift"),
    rule_ids=("null_rate", "psi"),
    column_names=("humidity",),
    model_versions=("all",),
    alert_count=5,
    suspect_rule_id="null_rate",
    suspect_family="data_quality",
    suspect_column_name="humidity",
    suspect_metric="null_rate",
    suspect_model_version="all",
    suspect_segment="all",
    suspect_segment_value="all",
    suspect_reason="null rate of humidity is 57.7 % (541 of 938 rows), above 20 %",
    possible_causes=("version 2 was deployed at 2026-03-10 08:30",),
    acknowledged_at=None,
    acknowledged_by=None,
    acknowledged_note=None,
)


def incident(incident_id: str = INCIDENT.incident_id, **changes: Any) -> Incident:
    """The usual incident, and what is different about it."""
    return replace(INCIDENT, incident_id=incident_id, **changes)


def resolved(incident_id: str = INCIDENT.incident_id, **changes: Any) -> Incident:
    """The usual incident when it is over."""
    closed_at = changes.pop("closed_at", NOW - HOUR / 2)
    last_alert_at = changes.pop("last_alert_at", closed_at - HOUR / 2)
    return incident(
        incident_id,
        state="resolved",
        closed_at=closed_at,
        last_alert_at=last_alert_at,
        **changes,
    )


_TYPES = {
    str: "text",
    bool: "boolean",
    int: "bigint",
    datetime: "timestamptz",
    tuple[str, ...]: "text[]",
    str | None: "text",
    datetime | None: "timestamptz",
}

_OF_PEOPLE = ("acknowledged_at", "acknowledged_by", "acknowledged_note", "is_muted")

_TABLES = """
    create schema marts;
    create schema intermediate;
    create schema operations;

    create table marts.monitors (monitor text);
    insert into marts.monitors values ('flight_delay'), ('flight_delayed'), ('churn');

    create table marts.alerts (
        rule_id text, family text, metric text, monitor text, model_version text,
        segment text, segment_value text, column_name text, grain text,
        window_start timestamptz, window_end timestamptz, value double precision,
        expected double precision, threshold double precision,
        warning_bound double precision, critical_bound double precision,
        sample_count bigint, severity text, status text, reason text, incident_id text
    );

    create table intermediate.int_alert_rules (
        monitor text, rule_id text, family text, metric text, compared_to text,
        columns text, versions text, segment text, grain text, method text,
        compared_as text, direction text, warning double precision,
        critical double precision, minimum_sample integer, open_after integer,
        close_after integer, description text
    );
    insert into intermediate.int_alert_rules
    select
        monitor, rule_id, 'service_health', metric, null, '*', 'all', 'all', 'hour',
        method, 'ratio', 'above', warning, critical, 50, 2, 3, 'Requests are slow.'
    from
        marts.monitors,
        (
            values
            ('latency', 'latency_p50_ms', 'learned', 6, 12),
            ('errors', 'error_rate', 'static', null, 0.1)
        ) as rules (rule_id, metric, method, warning, critical);
    update intermediate.int_alert_rules set warning = 9
    where monitor = 'churn' and rule_id = 'latency';

    create table operations.incident_actions (
        action_id bigint generated always as identity, incident_id text, action text,
        acted_by text, note text, acted_at timestamptz
    );
    create table intermediate.int_alert_episodes (
        incident_id text, monitor text, rule_id text, model_version text, segment text,
        segment_value text, column_name text, grain text, started_at timestamptz,
        last_alert_at timestamptz
    );
    create table operations.acted_episodes (
        action_id bigint, monitor text, rule_id text, model_version text, segment text,
        segment_value text, column_name text, grain text, started_at timestamptz,
        last_alert_at timestamptz
    );
    create table operations.mutes (
        mute_id bigint generated always as identity, monitor text, rule_id text,
        column_name text, muted_from timestamptz, muted_until timestamptz,
        muted_by text, note text, created_at timestamptz
    );

    create table operations.deliveries (
        event_id text not null, receiver text not null, incident_id text not null,
        event text not null, decided_at timestamptz not null,
        position bigint generated by default as identity, message_id text,
        attempt_count integer not null default 0, next_attempt_at timestamptz,
        sent_at timestamptz, skipped_reason text, last_error text, change jsonb,
        unique (event_id, receiver)
    );

    create table intermediate.int_incidents ({columns});

    create view marts.incidents as
    select
        {others},
        case
            when incidents.state = 'resolved' then 'resolved'
            when actions.action = 'acknowledge' then 'acknowledged'
            else 'open'
        end as state,
        exists (
            select from operations.mutes
            where
                mutes.monitor = incidents.monitor
                and coalesce(mutes.rule_id = any(incidents.rule_ids), true)
                and coalesce(mutes.column_name = any(incidents.column_names), true)
                and now() between mutes.muted_from and mutes.muted_until
        ) as is_muted,
        case when actions.action = 'acknowledge' then actions.acted_at end
            as acknowledged_at,
        case when actions.action = 'acknowledge' then actions.acted_by end
            as acknowledged_by,
        case when actions.action = 'acknowledge' then actions.note end
            as acknowledged_note
    from intermediate.int_incidents as incidents
    left join lateral (
        select * from operations.incident_actions
        where incident_actions.incident_id = incidents.incident_id
        order by action_id desc
        limit 1
    ) as actions on true;
"""


class AlertWarehouse:
    """The relations that alerting reads and writes, filled by hand."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings
        columns = [each for each in fields(Incident) if each.name not in _OF_PEOPLE]
        with self.connect() as connection:
            connection.execute(
                _TABLES.format(
                    columns=", ".join(
                        f"{each.name} {_TYPES[each.type]}"  # type: ignore[index]
                        for each in columns
                    ),
                    others=", ".join(
                        f"incidents.{each.name}"
                        for each in columns
                        if each.name != "state"
                    ),
                )
            )

    def connect(self) -> psycopg.Connection:
        return warehouse.connect(self.settings, autocommit=True)

    def execute(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            cursor = connection.execute(query, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def hold(self, *incidents: Incident) -> None:
        """As after a run of dbt: these are the incidents, and no others."""
        self.execute("delete from intermediate.int_incidents")
        names = [each.name for each in fields(Incident) if each.name not in _OF_PEOPLE]
        for each in incidents:
            values = [
                [*value] if isinstance(value := getattr(each, name), tuple) else value
                for name in names
            ]
            self.execute(
                f"insert into intermediate.int_incidents ({', '.join(names)}) "
                f"values ({', '.join(['%s'] * len(names))})",
                *values,
            )

    def deliveries(self, columns: str) -> list[tuple[Any, ...]]:
        return self.execute(
            f"select {columns} from operations.deliveries "
            "where event != 'registered' order by position"
        )


@dataclass(kw_only=True)
class Request:
    """What a receiver was sent."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class HttpReceiver:
    """An HTTP server that keeps what it is sent, and answers as it is told.

    ``status`` is what it answers; ``on_request`` is called before that.
    """

    url: str
    requests: list[Request] = field(default_factory=list)
    status: int = 200
    answer: bytes = b"ok"
    headers: dict[str, str] = field(default_factory=dict)
    on_request: Callable[[], object] = lambda: None


@contextmanager
def http_receiver() -> Iterator[HttpReceiver]:
    """A real server on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests.append(
                Request(path=self.path, headers=dict(self.headers.items()), body=body)
            )
            receiver.on_request()
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(receiver.answer)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                # A client that was killed, or had no more patience.
                self.close_connection = True

        def finish(self) -> None:
            try:
                super().finish()
            except ConnectionError:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = HttpReceiver(url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
