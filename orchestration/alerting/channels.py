"""How a message gets to a receiver: Slack, any webhook, e-mail, standard output.

Every call ends by a timeout, follows no redirect, and says what went wrong without the
address or the password that it used: both can be secrets.
"""

import base64
import binascii
import hashlib
import hmac
import logging
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import partial
from urllib.parse import unquote_plus

import httpx
import orjson

from orchestration.alerting.configuration import (
    EmailReceiver,
    Links,
    Receiver,
    SlackReceiver,
    StdoutReceiver,
    WebhookReceiver,
    is_web_address,
)
from orchestration.alerting.messages import (
    Message,
    html_text,
    plain_text,
    slack_payload,
    subject,
    webhook_payload,
)

# Sends a message, or raises ``DeliveryError``.
Channel = Callable[[Message], None]

_SUBJECT_LENGTH = 200
_ANSWER_LENGTH = 200

# Bytes that are read of an answer: enough that what is cut off is no half of a secret.
_READ_LENGTH = 20_000

# What is shorter than this, such as the v1 of a path, is no secret.
_SECRET_LENGTH = 4

# The content itself was refused: it will be again.
_REFUSING_STATUSES = frozenset({400, 413, 422})


class DeliveryError(Exception):
    """A message did not get through, as far as can be told; why, without secrets.

    ``is_refused``: the receiver is there and will not take this message, ever.
    ``retry_after``: how long it asked to be left alone.
    """

    def __init__(
        self,
        reason: str,
        *,
        is_refused: bool = False,
        retry_after: timedelta = timedelta(),
    ) -> None:
        super().__init__(reason)
        self.is_refused = is_refused
        self.retry_after = retry_after


def open_channel(
    receiver: Receiver,
    links: Links,
    *,
    environ: Mapping[str, str],
    write: Callable[[str], None],
) -> Channel:
    """The way to a receiver; nothing is connected to yet.

    ``environ`` holds the secrets that the receiver names, and is looked at when a
    message is sent. ``write`` takes what goes to standard output.
    """
    return partial(_send, _channel(receiver, links, environ=environ, write=write))


def _send(channel: Channel, message: Message) -> None:
    try:
        channel(message)
    except DeliveryError:
        raise
    except Exception as error:
        # Whatever it is, it is this receiver's alone. Its text may quote a secret.
        raise DeliveryError(f"unexpected {type(error).__name__}") from error


def _channel(
    receiver: Receiver,
    links: Links,
    *,
    environ: Mapping[str, str],
    write: Callable[[str], None],
) -> Channel:
    match receiver:
        case SlackReceiver():
            return partial(_send_to_slack, receiver, links, environ)
        case WebhookReceiver():
            return partial(_send_to_webhook, receiver, links, environ)
        case EmailReceiver():
            return partial(_send_mail, receiver, links, environ)
        case StdoutReceiver():
            return lambda message: write(plain_text(message, links))
        case _:
            raise TypeError(f"no channel for {type(receiver).__name__}")


def _send_to_slack(
    receiver: SlackReceiver,
    links: Links,
    environ: Mapping[str, str],
    message: Message,
) -> None:
    _post(
        _address(environ, receiver.url_env),
        orjson.dumps(slack_payload(message, links)),
        {},
        timeout_seconds=receiver.timeout_seconds,
    )


def _send_to_webhook(
    receiver: WebhookReceiver,
    links: Links,
    environ: Mapping[str, str],
    message: Message,
) -> None:
    url = receiver.url or _address(environ, receiver.url_env or "")
    body = orjson.dumps(webhook_payload(message, links))
    headers = {"Idempotency-Key": message.message_id}
    if receiver.token_env is not None:
        token = _secret(environ, receiver.token_env)
        if not re.fullmatch(r"[!-~]+", token):
            raise DeliveryError(f"{receiver.token_env} holds what no header can hold")
        headers["Authorization"] = f"Bearer {token}"
    if receiver.secret_env is not None:
        secret = _secret(environ, receiver.secret_env)
        headers |= signature_headers(
            message.message_id, body, secret=secret, now=datetime.now(UTC)
        )
    _post(url, body, headers, timeout_seconds=receiver.timeout_seconds)


def signature_headers(
    message_id: str, body: bytes, *, secret: str, now: datetime
) -> dict[str, str]:
    """The headers with which a receiver can tell that the body is ours, and new.

    By https://www.standardwebhooks.com: HMAC-SHA256 of id, timestamp and body, joined
    by dots. A secret that begins with ``whsec_`` is Base64, any other is its own bytes.

    Raises ``DeliveryError`` if a secret is no Base64 though it says so.
    """
    encoded = secret.removeprefix("whsec_")
    if encoded == secret:
        key = secret.encode()
    else:
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise DeliveryError("what follows whsec_ is no Base64") from error
    timestamp = str(int(now.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _post(
    url: str, body: bytes, headers: Mapping[str, str], *, timeout_seconds: float
) -> None:
    # They log every URL, and Slack's is a secret.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    content = {"Content-Type": "application/json", "User-Agent": "driftline"}
    deadline = time.monotonic() + timeout_seconds
    answer = b""
    try:
        with (
            httpx.Client(timeout=timeout_seconds, follow_redirects=False) as client,
            client.stream(
                "POST", url, content=body, headers={**content, **headers}
            ) as response,
        ):
            if not response.is_success:
                # The client's timeout is for each chunk, and some drip for ever.
                for chunk in response.iter_bytes():
                    answer += chunk
                    if len(answer) >= _READ_LENGTH:
                        break
                    if time.monotonic() > deadline:
                        # Where it ends by chance, half a secret can be.
                        answer = b""
                        break
    except httpx.TimeoutException as error:
        raise DeliveryError(f"no answer within {timeout_seconds:g} seconds") from error
    except httpx.ConnectError as error:
        raise DeliveryError(f"no connection: {_reason(error)}") from error
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        # What these say can quote the address.
        raise DeliveryError(f"no proper answer: {type(error).__name__}") from None
    if not response.is_success:
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        said = _without_secrets(answer.decode(errors="replace"), url, token)
        raise _refusal(response, " ".join(said.split())[:_ANSWER_LENGTH])


def _without_secrets(text: str, url: str, token: str) -> str:
    """What a server said, without the address and the token that it repeats.

    Nor any part of them, as it may repeat them escaped, or only the key of a query.
    """
    secrets = {url, token}
    for whole in (url, str(httpx.URL(url)), token):
        secrets |= {*re.split(r"[/?&=#@:]", whole.partition("://")[2] or whole)}
    secrets |= {unquote_plus(each) for each in secrets}
    # The longest first, as it may hold others.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SECRET_LENGTH:
            text = text.replace(secret, "…")
    return text


def _refusal(response: httpx.Response, said: str) -> DeliveryError:
    reason = f"answered {response.status_code}{f': {said}' if said else ''}"
    if response.is_redirect:
        reason += ", and redirects are not followed: give the address it leads to"
    return DeliveryError(
        reason,
        is_refused=response.status_code in _REFUSING_STATUSES,
        retry_after=_retry_after(response.headers.get("Retry-After", "")),
    )


def _retry_after(header: str) -> timedelta:
    # The other form, a date, is rare, and our own backoff will do.
    return timedelta(seconds=int(header)) if header.isdecimal() else timedelta()


def _send_mail(
    receiver: EmailReceiver,
    links: Links,
    environ: Mapping[str, str],
    message: Message,
) -> None:
    mail = _mail(receiver, links, message)
    credentials = None
    if receiver.user_env is not None and receiver.password_env is not None:
        credentials = (
            _secret(environ, receiver.user_env),
            _secret(environ, receiver.password_env),
        )
    try:
        server = _connected(receiver)
        try:
            if credentials is not None:
                server.login(*credentials)
            refused = server.send_message(mail)
        finally:
            # The message is sent or not by now, whatever the farewell.
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
    except smtplib.SMTPAuthenticationError as error:
        raise DeliveryError(
            f"the server refused the user or the password ({error.smtp_code})"
        ) from None
    except smtplib.SMTPRecipientsRefused as error:
        codes = {code for code, _ in error.recipients.values()}
        raise DeliveryError(
            f"the server refused every recipient ({', '.join(map(str, codes))})"
        ) from None
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        raise DeliveryError(
            f"answered {error.smtp_code}: {' '.join(text.split())[:_ANSWER_LENGTH]}",
            # Only of the content: a sender or a greeting can be put right.
            is_refused=isinstance(error, smtplib.SMTPDataError)
            and error.smtp_code >= 500,
        ) from None
    except UnicodeError:
        # What it says quotes the password.
        raise DeliveryError(
            "the user, the password or the host is not ASCII, and no mail server is "
            "given what is not"
        ) from None
    except (smtplib.SMTPException, OSError) as error:
        if "timed out" in str(error):
            raise DeliveryError(
                f"no answer within {receiver.timeout_seconds:g} seconds"
            ) from error
        raise DeliveryError(f"no connection: {_reason(error)}") from error
    if refused:
        # The others have it: to send it again would tell them twice.
        logging.getLogger(__name__).warning(
            "Receiver %s: %d of %d addresses were refused.",
            receiver.name,
            len(refused),
            len(receiver.recipients),
        )


def _connected(receiver: EmailReceiver) -> smtplib.SMTP:
    timeout = receiver.timeout_seconds
    # Else it would look its own name up, which can take long.
    own_name = receiver.sender.rpartition("@")[2]
    if receiver.security == "ssl":
        return smtplib.SMTP_SSL(
            receiver.host,
            receiver.port,
            local_hostname=own_name,
            timeout=timeout,
            context=ssl.create_default_context(),
        )
    server = smtplib.SMTP(
        receiver.host, receiver.port, local_hostname=own_name, timeout=timeout
    )
    if receiver.security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server


def _mail(receiver: EmailReceiver, links: Links, message: Message) -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = subject(message)[:_SUBJECT_LENGTH]
    mail["From"] = receiver.sender
    mail["To"] = ", ".join(receiver.recipients)
    dates = [each.decided_at for each in message.changes]
    mail["Date"] = format_datetime(max(dates, default=datetime.now(UTC)))
    # The same in every try, so that mail programs show it once.
    domain = receiver.sender.rpartition("@")[2]
    mail["Message-ID"] = f"<{message.message_id}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(plain_text(message, links))
    mail.add_alternative(html_text(message, links), subtype="html")
    return mail


def _secret(environ: Mapping[str, str], variable: str) -> str:
    value = environ.get(variable, "").strip()
    if not value:
        raise DeliveryError(f"the variable {variable} is not set")
    return value


def _address(environ: Mapping[str, str], variable: str) -> str:
    url = _secret(environ, variable)
    if not is_web_address(url):
        raise DeliveryError(f"the variable {variable} holds no web address")
    return url


def _reason(error: BaseException) -> str:
    """What the system said of a connection, without the place."""
    if isinstance(error, socket.gaierror) or "Name or service" in str(error):
        return "the host is not known"
    if isinstance(error, ConnectionRefusedError) or "refused" in str(error):
        return "nobody listens there"
    if isinstance(error, ssl.SSLError) or "SSL" in str(error):
        return "its certificate or its TLS is not accepted"
    return " ".join(str(error).split())[:_ANSWER_LENGTH] or type(error).__name__
