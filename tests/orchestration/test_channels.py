"""Messages over the wire, to real servers on loopback."""

import base64
import email
import email.policy
import hashlib
import hmac
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from orchestration.alerting.changes import Change
from orchestration.alerting.channels import DeliveryError, open_channel
from orchestration.alerting.configuration import (
    EmailReceiver,
    Links,
    Receiver,
    Security,
    SlackReceiver,
    StdoutReceiver,
    WebhookReceiver,
)
from orchestration.alerting.messages import DatedChange, Message
from tests.orchestration.alerting import (
    HOSTILE,
    INCIDENT,
    NOW,
    HttpReceiver,
    http_receiver,
    incident,
)

SECRET = "a-secret-nobody-may-see"


def message(of: Any = INCIDENT) -> Message:
    change = DatedChange(
        event_id="e1", decided_at=NOW, change=Change(event="opened", incident=of)
    )
    return Message(message_id="m1", receiver="r", changes=(change,))


def send(
    receiver: Receiver, environ: dict[str, str], what: Message | None = None
) -> None:
    channel = open_channel(receiver, Links(), environ=environ, write=print)
    channel(what or message())


@pytest.fixture
def server() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


def slack(**changes: Any) -> SlackReceiver:
    return replace(SlackReceiver(name="r", url_env="URL", timeout_seconds=1), **changes)


def test_slack_gets_blocks_and_a_text(server: HttpReceiver) -> None:
    send(slack(), {"URL": f"{server.url}/services/{SECRET}"})

    (request,) = server.requests
    assert request.path == f"/services/{SECRET}"
    assert request.headers["Content-Type"] == "application/json"
    assert request.json.keys() == {"text", "blocks"}


def test_a_webhook_gets_json_with_the_key_of_the_message(server: HttpReceiver) -> None:
    send(WebhookReceiver(name="r", url=server.url), {})

    (request,) = server.requests
    assert request.headers["Idempotency-Key"] == "m1" == request.json["message_id"]
    assert "webhook-signature" not in request.headers
    assert "Authorization" not in request.headers


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("plain secret ü", "plain secret ü".encode()),
        ("whsec_" + base64.b64encode(b"\x00\xff" * 12).decode(), b"\x00\xff" * 12),
    ],
)
def test_a_signed_webhook_can_be_verified(
    secret: str, key: bytes, server: HttpReceiver
) -> None:
    receiver = WebhookReceiver(
        name="r", url=server.url, secret_env="KEY", token_env="TOKEN"
    )

    send(receiver, {"KEY": secret, "TOKEN": SECRET})

    (request,) = server.requests
    signed = b".".join(
        (
            request.headers["webhook-id"].encode(),
            request.headers["webhook-timestamp"].encode(),
            request.body,
        )
    )
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    assert request.headers["webhook-signature"] == f"v1,{expected.decode()}"
    assert request.headers["Authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("status", "is_refused"),
    [(400, True), (422, True), (401, False), (404, False), (429, False), (503, False)],
)
def test_an_error_of_the_server_is_told_with_what_it_said(
    status: int, is_refused: bool, server: HttpReceiver
) -> None:
    server.status, server.answer = status, b"no_service\r\n" + b"x" * 5000

    with pytest.raises(
        DeliveryError, match=f"answered {status}: no_service x"
    ) as error:
        send(slack(), {"URL": server.url})
    assert error.value.is_refused == is_refused
    assert len(str(error.value)) < 250


def test_a_server_may_ask_to_be_left_alone(server: HttpReceiver) -> None:
    server.status, server.headers = 429, {"Retry-After": "1800"}

    with pytest.raises(DeliveryError) as error:
        send(slack(), {"URL": server.url})
    assert error.value.retry_after == timedelta(minutes=30)


def test_a_redirect_is_not_followed(server: HttpReceiver) -> None:
    server.status, server.headers = 307, {"Location": f"{server.url}/elsewhere"}

    with pytest.raises(DeliveryError, match="redirects are not followed"):
        send(slack(), {"URL": server.url})
    assert len(server.requests) == 1


def test_a_server_that_never_answers_is_not_waited_for(server: HttpReceiver) -> None:
    hanging = threading.Event()
    server.on_request = lambda: hanging.wait(30)

    with pytest.raises(DeliveryError, match=r"no answer within 0\.2 seconds"):
        send(slack(timeout_seconds=0.2), {"URL": server.url})
    hanging.set()


def test_nobody_at_the_address_is_told() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    with pytest.raises(DeliveryError, match="no connection: nobody listens there"):
        send(slack(), {"URL": f"http://127.0.0.1:{port}/{SECRET}"})


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "the variable URL is not set"),
        ({"URL": "  "}, "the variable URL is not set"),
        ({"URL": SECRET}, "the variable URL holds no web address"),
    ],
)
def test_a_variable_that_is_missing_or_wrong_is_told(
    environ: dict[str, str], reason: str
) -> None:
    with pytest.raises(DeliveryError, match=reason):
        send(slack(), environ)


def test_no_secret_is_logged_or_repeated(
    server: HttpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"{server.url}/services/{SECRET}"
    receiver = WebhookReceiver(name="r", url_env="URL", token_env="TOKEN")

    send(receiver, {"URL": url, "TOKEN": SECRET})
    server.status, server.answer = 500, f"failed at {url}, /services/{SECRET}".encode()
    with pytest.raises(DeliveryError) as answered:
        send(receiver, {"URL": url, "TOKEN": SECRET})
    with pytest.raises(DeliveryError) as unusable:
        send(receiver, {"URL": url, "TOKEN": f"{SECRET}\nX: y"})

    for text in (caplog.text, str(answered.value), str(unusable.value)):
        assert SECRET not in text


@pytest.mark.parametrize(
    "echo",
    [
        "{url}",
        "x" * 150 + " {url}",
        "POST {path}",
        "no such key: " + SECRET,
        "key=" + SECRET + "&amp;of=us",
        "https:\\/\\/host\\/hook\\/" + SECRET,
        "a b/" + SECRET,
        "got Bearer t0/" + SECRET,
    ],
)
def test_no_answer_brings_a_secret_back(echo: str, server: HttpReceiver) -> None:
    path = f"/a%20b/{SECRET}?key={SECRET}&of=us"
    url = server.url + path
    server.status, server.answer = 401, echo.format(url=url, path=path).encode()
    receiver = WebhookReceiver(name="r", url_env="URL", token_env="TOKEN")

    with pytest.raises(DeliveryError, match="answered 401: ") as error:
        send(receiver, {"URL": url, "TOKEN": f"t0/{SECRET}"})

    assert SECRET[:10] not in str(error.value)


def test_standard_output_gets_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    send(StdoutReceiver(name="r"), {})

    assert capsys.readouterr().out.startswith("WARNING opened: flight_delay: null rate")


class Mailbox:
    """What a mail server was given, or how it refuses."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.data_answer = "250 OK"
        self.refused: set[str] = set()
        self.is_tls = False

    async def handle_RCPT(
        self, server: SMTP, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        self.is_tls = session.ssl is not None
        if self.data_answer.startswith("250"):
            parsed = email.message_from_bytes(
                envelope.content, policy=email.policy.default
            )
            assert isinstance(parsed, EmailMessage)
            self.mails.append(parsed)
            self.recipients.append(list(envelope.rcpt_tos))
        return self.data_answer


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certificate(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def _trusted(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))


@contextmanager
def mail_server(
    security: Security = "none", certificate: ssl.SSLContext | None = None
) -> Iterator[tuple[Mailbox, EmailReceiver]]:
    mailbox = Mailbox()

    def login(server: Any, session: Any, envelope: Any, kind: str, data: Any) -> Any:
        assert isinstance(data, LoginPassword)
        mailbox.logins.append((data.login, data.password))
        return AuthResult(success=data.password == SECRET.encode(), handled=False)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tls: dict[str, Any] = {}
    if security == "ssl":
        tls = {"ssl_context": certificate}
    elif security == "starttls":
        tls = {"tls_context": certificate, "require_starttls": True}
    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=port,
        authenticator=login,
        auth_require_tls=security == "starttls",
        **tls,
    )
    controller.start()
    receiver = EmailReceiver(
        name="r",
        host="localhost",
        port=port,
        security=security,
        sender="driftline@example.org",
        recipients=("ada@example.org", "bob@example.org"),
        timeout_seconds=5,
    )
    try:
        yield mailbox, receiver
    finally:
        controller.stop()


def test_a_mail_has_text_and_html_and_the_id_of_the_message() -> None:
    with mail_server() as (mailbox, receiver):
        send(receiver, {})

    (mail,) = mailbox.mails
    assert mailbox.recipients == [["ada@example.org", "bob@example.org"]]
    assert mail["Subject"] == (
        "Warning, opened: null rate of humidity is 57.7 % (541 of 938 rows), above "
        "20 %, and more (flight_delay)"
    )
    assert mail["From"] == "driftline@example.org"
    assert mail["Message-ID"] == "<m1@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    plain, html = (mail.get_body([kind]) for kind in ("plain", "html"))
    assert plain is not None and html is not None
    assert "First suspect: data quality" in plain.get_content()
    assert "First suspect: data quality" in html.get_content()


@pytest.mark.usefixtures("_trusted")
@pytest.mark.parametrize("security", ["starttls", "ssl"])
def test_a_mail_goes_over_an_encrypted_line_with_a_password(
    security: Security, certificate: ssl.SSLContext
) -> None:
    with mail_server(security, certificate) as (mailbox, receiver):
        receiver = replace(receiver, user_env="USER_", password_env="PASSWORD")
        send(receiver, {"USER_": "ada", "PASSWORD": SECRET})

    assert len(mailbox.mails) == 1
    assert mailbox.is_tls == (security == "starttls") or security == "ssl"
    assert mailbox.logins == [(b"ada", SECRET.encode())]


@pytest.mark.parametrize("security", ["starttls", "ssl"])
def test_a_certificate_that_nobody_vouches_for_is_not_accepted(
    security: Security, certificate: ssl.SSLContext
) -> None:
    with mail_server(security, certificate) as (mailbox, receiver):  # noqa: SIM117
        with pytest.raises(DeliveryError, match="its certificate or its TLS"):
            send(receiver, {})
    assert mailbox.mails == []


def test_a_server_without_starttls_gets_nothing() -> None:
    with mail_server() as (mailbox, receiver):  # noqa: SIM117
        with pytest.raises(DeliveryError, match="STARTTLS"):
            send(replace(receiver, security="starttls"), {})
    assert mailbox.mails == []


@pytest.mark.usefixtures("_trusted")
def test_a_wrong_password_is_told_and_not_repeated(
    certificate: ssl.SSLContext,
) -> None:
    with mail_server("starttls", certificate) as (_, receiver):
        receiver = replace(receiver, user_env="USER_", password_env="PASSWORD")
        with pytest.raises(
            DeliveryError, match="refused the user or the pass"
        ) as error:
            send(receiver, {"USER_": "ada", "PASSWORD": "wrong-word"})
    assert "wrong-word" not in str(error.value)


def test_a_password_that_no_server_is_given_is_told_and_not_repeated() -> None:
    with mail_server() as (mailbox, receiver):
        receiver = replace(receiver, user_env="USER_", password_env="PASSWORD")
        with pytest.raises(DeliveryError, match="is not ASCII") as error:
            send(receiver, {"USER_": "ada", "PASSWORD": f"{SECRET}ü"})
    assert SECRET not in str(error.value)
    assert mailbox.mails == []


@pytest.mark.parametrize(
    ("answer", "is_refused"), [("554 no thanks", True), ("451 try later", False)]
)
def test_a_refused_mail_is_told(answer: str, is_refused: bool) -> None:
    with mail_server() as (mailbox, receiver):
        mailbox.data_answer = answer
        with pytest.raises(DeliveryError, match=f"answered {answer[:3]}") as error:
            send(receiver, {})
    assert error.value.is_refused == is_refused


def test_one_refused_address_does_not_make_the_others_get_it_twice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with mail_server() as (mailbox, receiver):
        mailbox.refused = {"bob@example.org"}
        send(receiver, {})
        assert "1 of 2 addresses were refused" in caplog.text
        mailbox.refused = {"bob@example.org", "ada@example.org"}
        with pytest.raises(DeliveryError, match=r"refused every recipient \(550\)"):
            send(receiver, {})
    assert mailbox.recipients == [["ada@example.org"]]


def test_hostile_text_adds_no_header_and_no_recipient() -> None:
    with mail_server() as (mailbox, receiver):
        send(receiver, {}, message(incident(title=HOSTILE, monitor=HOSTILE)))

    (mail,) = mailbox.mails
    assert mail["Bcc"] is None
    assert mailbox.recipients == [["ada@example.org", "bob@example.org"]]
    assert "🔥" in mail["Subject"]


def test_a_mail_server_that_never_speaks_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        receiver = EmailReceiver(
            name="r",
            host="127.0.0.1",
            port=port,
            security="none",
            sender="driftline@example.org",
            recipients=("ada@example.org",),
            timeout_seconds=0.2,
        )
        with pytest.raises(DeliveryError, match=r"no answer within 0\.2 seconds"):
            send(receiver, {})
