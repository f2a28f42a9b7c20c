"""``alerting.yml``: who is told what, and over which channel.

Secrets stay outside: a key that ends in ``_env`` names the variable that holds one.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import yaml

from orchestration.alerting.incidents import FAMILIES, SEVERITIES, Incident
from orchestration.errors import DriftlineError

FILE_NAME = "alerting.yml"
_CHECKOUT = Path(__file__).resolve().parents[2]
VARIABLE = "DRIFTLINE_ALERTING"

Security = Literal["starttls", "ssl", "none"]

_PORTS: Mapping[str, int] = {"starttls": 587, "ssl": 465, "none": 25}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACEHOLDERS = ("monitor", "owner", "incident_id", "day", "from", "to")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")


class AlertingError(DriftlineError):
    """``alerting.yml`` can't be used; the message names file, key and remedy."""


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """Someone or something that is told of incidents."""

    name: str
    messages_per_hour: int = 20
    timeout_seconds: float = 10.0


@dataclass(frozen=True, kw_only=True)
class SlackReceiver(Receiver):
    """A channel of Slack, or of what takes its incoming webhooks."""

    url_env: str


@dataclass(frozen=True, kw_only=True)
class WebhookReceiver(Receiver):
    """A program that takes JSON over HTTP; one of ``url`` and ``url_env`` is set."""

    url: str | None = None
    url_env: str | None = None
    secret_env: str | None = None
    token_env: str | None = None


@dataclass(frozen=True, kw_only=True)
class EmailReceiver(Receiver):
    """Addresses, and the server that takes mail for them."""

    host: str
    port: int
    security: Security
    sender: str
    recipients: tuple[str, ...]
    user_env: str | None = None
    password_env: str | None = None


@dataclass(frozen=True, kw_only=True)
class StdoutReceiver(Receiver):
    """Standard output; in Dagster, the sensor's log."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """Who is told of the incidents that suit it; an empty condition suits all."""

    receivers: tuple[str, ...]
    owners: tuple[str, ...] = ()
    monitors: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    families: tuple[str, ...] = ()

    def suits(self, incident: Incident) -> bool:
        """Whether every condition holds; of each, one value is enough."""

        def any_like(text: str | None, patterns: Sequence[str]) -> bool:
            return not patterns or any(
                fnmatchcase(text or "unowned", pattern) for pattern in patterns
            )

        return (
            any_like(incident.owner, self.owners)
            and any_like(incident.monitor, self.monitors)
            and any_like(incident.severity, self.severities)
            and (not self.families or bool(set(self.families) & {*incident.families}))
        )


@dataclass(frozen=True, kw_only=True)
class Links:
    """Where an incident can be looked at: URLs with placeholders, if set."""

    dashboard: str | None = None
    report: str | None = None

    def dashboard_url(self, incident: Incident) -> str | None:
        """The monitor's dashboard, a day before the incident until a day after."""
        return _filled(self.dashboard, incident)

    def report_url(self, incident: Incident) -> str | None:
        """The report, by monitor or day if the template says so."""
        return _filled(self.report, incident)


@dataclass(frozen=True, kw_only=True)
class Alerting:
    """All of ``alerting.yml``. ``fingerprint`` differs if anything in it does.

    ``failed_runs`` are the receivers that are told of runs that failed.
    """

    receivers: tuple[Receiver, ...]
    routes: tuple[Route, ...]
    otherwise: tuple[str, ...]
    failed_runs: tuple[str, ...]
    links: Links
    fingerprint: str

    def receivers_of(self, incident: Incident) -> list[str]:
        """Who is told of an incident, in the order of the file.

        All routes that suit count; if none does, those of ``otherwise``.
        """
        chosen = {
            name
            for route in self.routes
            if route.suits(incident)
            for name in route.receivers
        } or {*self.otherwise}
        return [each.name for each in self.receivers if each.name in chosen]


STANDARD_OUTPUT_ONLY = Alerting(
    receivers=(StdoutReceiver(name="stdout"),),
    routes=(Route(receivers=("stdout",)),),
    otherwise=(),
    failed_runs=("stdout",),
    links=Links(),
    fingerprint="none",
)


def read_alerting(
    environ: Mapping[str, str], *, directory: Path = _CHECKOUT
) -> Alerting:
    """The file of ``DRIFTLINE_ALERTING``, or ``alerting.yml`` of the checkout.

    Without the latter everything goes to standard output. Raises ``AlertingError`` if
    the file can't be read or used.
    """
    chosen = environ.get(VARIABLE)
    path = Path(chosen).expanduser() if chosen else directory / FILE_NAME
    try:
        text = path.read_text()
    except FileNotFoundError as error:
        if chosen:
            raise AlertingError(
                f"{VARIABLE} names {path}, which does not exist: correct it, or unset "
                "it for standard output only."
            ) from error
        return STANDARD_OUTPUT_ONLY
    except (OSError, UnicodeDecodeError) as error:
        raise AlertingError(f"{path} can't be read: {error}.") from error
    return parse_alerting(text, source=str(path))


def parse_alerting(text: str, *, source: str) -> Alerting:
    """The text of an ``alerting.yml``; ``source`` names it in messages.

    Raises ``AlertingError`` if it can't be used.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        raise AlertingError(
            f"{source}{place}: this is no YAML: "
            f"{getattr(error, 'problem', None) or 'it can not be parsed'}."
        ) from None
    top = _Block(content, source=source, path="")
    receivers = tuple(_receiver(block) for block in top.blocks("receivers"))
    if not receivers:
        raise top.error("receivers", "list at least one")
    names = [each.name for each in receivers]
    for name in names:
        if names.count(name) > 1:
            raise top.error("receivers", f"{name!r} is there twice")
    routes = (
        tuple(_route(block, names) for block in top.blocks("routes"))
        if "routes" in top
        else (Route(receivers=tuple(names)),)
    )
    otherwise = top.choices("otherwise", names, "receivers")
    failed_runs = (
        top.choices("failed_runs", names, "receivers") if "failed_runs" in top else None
    )
    links = _links(top.block("links")) if "links" in top else Links()
    top.finish()
    used = {*otherwise, *(name for route in routes for name in route.receivers)}
    used |= {*(failed_runs or ())}
    for name in names:
        if name not in used:
            raise top.error(
                "routes", f"no route leads to {name!r}: add one, or remove the receiver"
            )
    return Alerting(
        receivers=receivers,
        routes=routes,
        otherwise=otherwise,
        failed_runs=tuple(names) if failed_runs is None else failed_runs,
        links=links,
        fingerprint=hashlib.sha256(text.encode()).hexdigest()[:16],
    )


class _Block:
    """A mapping of the file whose keys are taken one by one; what is left is wrong."""

    def __init__(self, content: object, *, source: str, path: str) -> None:
        self._source = source
        self._path = path
        if not isinstance(content, Mapping):
            raise self.error("", f"expected keys and values, not {content!r}")
        self._content = dict(content)
        self._known: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def error(self, key: object, complaint: str) -> AlertingError:
        path = ".".join(filter(None, (self._path, str(key))))
        where = f"{self._source}, key {path}" if path else self._source
        return AlertingError(f"{where}: {complaint}.")

    def take(self, key: str, default: object = None) -> Any:
        self._known.append(key)
        value = self._content.pop(key, None)
        return default if value is None else value

    def text(self, key: str) -> str | None:
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, f"expected a text, not {value!r}")
        return value.strip()

    def required(self, key: str, example: str) -> str:
        value = self.text(key)
        if value is None:
            raise self.error(key, f"it is missing; give it as in `{key}: {example}`")
        return value

    def variable(self, key: str) -> str | None:
        value = self.text(key)
        if value is not None and not _VARIABLE_NAME.fullmatch(value):
            # It may be the secret itself, which must get into no log.
            raise self.error(
                key,
                "give the name of an environment variable, such as SLACK_WEBHOOK_URL, "
                "and not the secret itself",
            )
        return value

    def choice(self, key: str, among: Sequence[str], default: str | None) -> str:
        value = self.take(key, default)
        if value not in among:
            problem = "it is missing" if value is None else f"{value!r} is unknown"
            raise self.error(key, f"{problem}; use {' or '.join(among)}")
        return str(value)

    def choices(
        self, key: str, among: Sequence[str] | None, what: str
    ) -> tuple[str, ...]:
        value = self.take(key, [])
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list) or not all(
            isinstance(each, str) and each for each in value
        ):
            raise self.error(key, f"expected a list of {what}, not {value!r}")
        for each in value:
            if among is not None and each not in among:
                raise self.error(
                    key, f"{each!r} is unknown; the {what} are {', '.join(among)}"
                )
        return tuple(value)

    def number(
        self, key: str, default: float, *, least: float, most: float, what: str
    ) -> float:
        value = self.take(key, default)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not least <= value <= most:
            raise self.error(key, f"{value!r} is no {what} from {least:g} to {most:g}")
        return float(value)

    def whole(self, key: str, default: int, *, least: int, most: int) -> int:
        value = self.number(key, default, least=least, most=most, what="whole number")
        if value != int(value):
            raise self.error(key, f"{value!r} is no whole number")
        return int(value)

    def block(self, key: str) -> "_Block":
        return self._child(self.take(key), key)

    def blocks(self, key: str) -> list["_Block"]:
        value = self.take(key, [])
        if not isinstance(value, list):
            raise self.error(key, f"expected a list, each entry beginning with `- `, "
                                  f"not {value!r}")  # fmt: skip
        return [
            self._child(each, f"{key}[{_label(each, number)}]")
            for number, each in enumerate(value, start=1)
        ]

    def finish(self) -> None:
        for key in self._content:
            raise self.error(
                key, f"there is no such key; known here: {', '.join(self._known)}"
            )

    def _child(self, content: object, key: str) -> "_Block":
        path = ".".join(filter(None, (self._path, key)))
        return _Block(content, source=self._source, path=path)


def _label(entry: object, number: int) -> str:
    """How messages call an entry of a list: by its name, or its number."""
    name = entry.get("name") if isinstance(entry, Mapping) else None
    return name if isinstance(name, str) else str(number)


def _receiver(block: _Block) -> Receiver:
    name = block.required("name", "team-flights")
    if not _NAME.fullmatch(name):
        raise block.error(
            "name", f"{name!r}: use lowercase letters, digits, _ and -, at most 63"
        )
    kind = block.choice("type", ("slack", "webhook", "email", "stdout"), None)
    common: dict[str, Any] = {
        "name": name,
        "messages_per_hour": block.whole("messages_per_hour", 20, least=1, most=3600),
    }
    if kind != "stdout":
        common["timeout_seconds"] = block.number(
            "timeout_seconds", 10, least=0.1, most=60, what="number of seconds"
        )
    receiver = _RECEIVERS[kind](block, common)
    block.finish()
    return receiver


def _slack(block: _Block, common: Mapping[str, Any]) -> Receiver:
    url_env = block.variable("url_env")
    if url_env is None:
        raise block.error(
            "url_env",
            "name the variable that holds the webhook's URL, as in "
            "`url_env: SLACK_WEBHOOK_URL`",
        )
    return SlackReceiver(url_env=url_env, **common)


def _webhook(block: _Block, common: Mapping[str, Any]) -> Receiver:
    url, url_env = block.text("url"), block.variable("url_env")
    if (url is None) == (url_env is None):
        raise block.error(
            "url", "give either `url`, or `url_env` if the URL itself is a secret"
        )
    if url is not None and not is_web_address(url):
        raise block.error("url", "expected an address such as https://example.org/x")
    if url is not None and urlsplit(url).password is not None:
        raise block.error("url", "it holds a password: use `url_env` instead")
    return WebhookReceiver(
        url=url,
        url_env=url_env,
        secret_env=block.variable("secret_env"),
        token_env=block.variable("token_env"),
        **common,
    )


def _email(block: _Block, common: Mapping[str, Any]) -> Receiver:
    host = block.required("host", "smtp.example.org")
    security = block.choice("security", ("starttls", "ssl", "none"), "starttls")
    user_env, password_env = block.variable("user_env"), block.variable("password_env")
    if (user_env is None) != (password_env is None):
        raise block.error("user_env", "give both of user_env and password_env, or none")
    if user_env is not None and security == "none":
        raise block.error(
            "security", "a password must not go over an open line: use starttls or ssl"
        )
    sender = block.required("from", "driftline@example.org")
    recipients = block.choices("to", None, "addresses")
    if not recipients:
        raise block.error("to", "list at least one address")
    for key, address in [("from", sender), *(("to", each) for each in recipients)]:
        if not re.fullmatch(r"[!-?A-~]+@[!-?A-~]+", address):
            raise block.error(
                key, f"{address!r} is no plain address such as ada@example.org"
            )
    return EmailReceiver(
        host=host,
        port=block.whole("port", _PORTS[security], least=1, most=65535),
        security=security,  # type: ignore[arg-type]
        sender=sender,
        recipients=recipients,
        user_env=user_env,
        password_env=password_env,
        **common,
    )


def _stdout(block: _Block, common: Mapping[str, Any]) -> Receiver:
    del block
    return StdoutReceiver(**common)


_RECEIVERS = {"slack": _slack, "webhook": _webhook, "email": _email, "stdout": _stdout}


def _route(block: _Block, names: Sequence[str]) -> Route:
    receivers = block.choices("receivers", names, "receivers")
    if not receivers:
        raise block.error("receivers", f"list at least one of {', '.join(names)}")
    route = Route(
        receivers=receivers,
        owners=block.choices("owners", None, "owners"),
        monitors=block.choices("monitors", None, "monitors"),
        severities=block.choices("severities", SEVERITIES, "severities"),
        families=block.choices("families", FAMILIES, "families"),
    )
    block.finish()
    return route


def _links(block: _Block) -> Links:
    # Without a placeholder the dashboard is the address of Grafana.
    usual = "/d/driftline-model?var-monitor={monitor}&from={from}&to={to}"
    found: dict[str, str | None] = {}
    for key in ("dashboard", "report"):
        template = found[key] = block.text(key)
        if template is None:
            continue
        if not is_web_address(template):
            raise block.error(key, "expected an address such as https://example.org")
        for placeholder in _PLACEHOLDER.findall(template):
            if placeholder not in _PLACEHOLDERS:
                known = ", ".join(f"{{{each}}}" for each in _PLACEHOLDERS)
                raise block.error(key, f"{{{placeholder}}} is unknown; use {known}")
        if key == "dashboard" and not _PLACEHOLDER.search(template):
            found[key] = template.rstrip("/") + usual
    block.finish()
    return Links(**found)


def is_web_address(text: str) -> bool:
    """Whether it is an http or https URL with a host, and without a space."""
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and not re.search(r"\s", text)
        )
    except ValueError:
        return False


def _filled(template: str | None, incident: Incident) -> str | None:
    if template is None:
        return None
    day = timedelta(days=1)
    values = {
        "monitor": incident.monitor,
        "owner": incident.owner or "",
        "incident_id": incident.incident_id,
        "day": f"{incident.started_at:%Y-%m-%d}",
        "from": _milliseconds(incident.started_at - day),
        "to": _milliseconds(incident.closed_at + day) if incident.closed_at else "now",
    }
    return _PLACEHOLDER.sub(lambda found: quote(values[found[1]], safe=""), template)


def _milliseconds(moment: datetime) -> str:
    return str(round(moment.timestamp() * 1000))
