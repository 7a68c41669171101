"""Events as e-mail, by whatever SMTP server the subscription names."""

import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from email.message import EmailMessage
from typing import Any

import orjson

from modelwright.errors import AddressRefused
from modelwright.lifecycle.events import addresses
from modelwright.lifecycle.events.envelopes import Letter
from modelwright.lifecycle.events.wording import in_a_line
from modelwright.records import Attempt, AttemptVerdict, Event, Subscription
from modelwright.store import secrets
from modelwright.store.database import Store

STARTTLS, TLS, PLAIN = "starttls", "tls", "none"
SECURITIES = (STARTTLS, TLS, PLAIN)
_MENDING_SECONDS = 300.0
_PERMANENT = 500


def secret_name(subscription: str) -> str:
    """Return under which name the password of a subscription's SMTP server is kept."""
    return f"smtp-{subscription}"


def send(store: Store, subscription: Subscription, event: Event, letters: list[Letter]) -> Attempt:
    """Mail an event. The message's id is made of the event's, so mail programs show one that comes again once."""
    try:
        with _server(store, subscription) as server:
            refused = server.send_message(_message(subscription, event, letters))
    except (AddressRefused, OSError, ValueError) as error:  # among them all that the library raises
        return _meaning(error, limit_seconds=subscription.policy.timeout_seconds)
    told = f"mailed to {', '.join(each for each in subscription.target['to'] if each not in refused)}"
    return Attempt(AttemptVerdict.DELIVERED, f"{told}; refused: {_refused(refused)}" if refused else told)


def _meaning(error: Exception, *, limit_seconds: float) -> Attempt:
    again, hopeless = AttemptVerdict.AGAIN, AttemptVerdict.HOPELESS
    match error:
        case smtplib.SMTPAuthenticationError():
            return Attempt(again, f"its server does not take the password: {_said(error)}", _MENDING_SECONDS)
        case smtplib.SMTPRecipientsRefused():
            is_final = all(code >= _PERMANENT for code, _ in error.recipients.values())
            return Attempt(hopeless if is_final else again, f"nobody gets it: {_refused(error.recipients)}")
        case smtplib.SMTPResponseException():
            is_final = error.smtp_code >= _PERMANENT
            return Attempt(hopeless if is_final else again, f"its server refuses: {_said(error)}")
        case AddressRefused():
            return Attempt(again, f"{error}; {error.next_command}", _MENDING_SECONDS)
        case TimeoutError():
            return Attempt(again, f"its server was not done within {limit_seconds:g} s")
        case _:
            return Attempt(again, f"its server did not take it: {in_a_line(str(error))}")


class _Server(smtplib.SMTP):
    """An SMTP server at an address that was looked at first; one that drips is left when the time is up."""

    def __init__(self, host: str, port: int, *, deadline: float, is_private_allowed: bool, is_tls: bool) -> None:
        self._deadline, self._is_private_allowed, self._is_tls = deadline, is_private_allowed, is_tls
        self._connection: socket.socket | None = None
        self._watchman: threading.Timer | None = None
        super().__init__(host, port, timeout=addresses.remaining(deadline))

    def close(self) -> None:
        """End the connection, and let nobody watch it any more."""
        if self._watchman:
            self._watchman.cancel()
        super().close()

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection = addresses.connect(host, port, deadline=self._deadline, is_private_allowed=self._is_private_allowed)
        self._connection = connection
        self._watchman = threading.Timer(max(0.0, self._deadline - time.monotonic()), self._leave)
        self._watchman.daemon = True
        self._watchman.start()
        connection.settimeout(timeout)
        if self._is_tls:
            try:
                self._connection = ssl.create_default_context().wrap_socket(connection, server_hostname=host)
            except BaseException:
                self._watchman.cancel()
                raise
        return self._connection

    def _leave(self) -> None:
        with suppress(OSError):
            if connection := getattr(self, "sock", None) or self._connection:
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def _server(store: Store, subscription: Subscription) -> Iterator[_Server]:
    """Give a connection that is ready for a message. Raises TimeoutError when all of it takes too long."""
    target = subscription.target
    deadline = time.monotonic() + subscription.policy.timeout_seconds
    try:
        server = _Server(
            target["server"],
            target["port"],
            deadline=deadline,
            is_private_allowed=target["is_private_allowed"],
            is_tls=target["security"] == TLS,
        )
        with closing(server):
            if target["security"] == STARTTLS:
                server.starttls(context=ssl.create_default_context())
            password = secrets.get(store, secret_name(subscription.name))
            if target["user"] and password is not None:
                server.login(target["user"], password)
            yield server
            with suppress(OSError):  # it has the message, whatever it says to this
                server.quit()
    except OSError as error:
        if time.monotonic() >= deadline:
            raise TimeoutError from error
        raise


def _message(subscription: Subscription, event: Event, letters: list[Letter]) -> EmailMessage:
    message = EmailMessage()
    target = subscription.target
    message["Subject"] = f"{event.type} {event.subject}"
    message["From"] = target["from"]
    message["To"] = ", ".join(target["to"])
    message["Date"] = event.at
    message["Message-ID"] = f"<{event.id}.{subscription.name}@modelwright>"
    message["Auto-Submitted"] = "auto-generated"
    said = event.data.get("reason")
    lines = [f"{event.type} of {event.subject}", *([str(said)] if said else []), ""]
    lines += [orjson.dumps(each.body, option=orjson.OPT_INDENT_2).decode() for each in letters]
    lines += [
        "",
        f"You get this because of the subscription {subscription.name}:",
        f"wright event show {subscription.name}",
    ]
    message.set_content("\n".join(lines))
    return message


def _said(error: smtplib.SMTPResponseException) -> str:
    return f"{error.smtp_code} {_text(error.smtp_error)}"


def _refused(recipients: dict[str, Any]) -> str:
    return ", ".join(f"{name} ({code} {_text(said)})" for name, (code, said) in recipients.items())


def _text(said: bytes | str) -> str:
    return in_a_line(said.decode(errors="replace") if isinstance(said, bytes) else said)
