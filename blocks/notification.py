from typing import Any
from urllib.parse import urlsplit

from apprise import Apprise
from prefect.blocks.abstract import NotificationError
from prefect.blocks.notifications import AppriseNotificationBlock
from pydantic import Field, HttpUrl, SecretStr

__all__ = ["NotDeliveredError", "Notifier", "can_notify"]

WEB = {"http": "json", "https": "jsons"}


class NotDeliveredError(ConnectionError):
    """A message reached nobody."""


class Notifier(AppriseNotificationBlock):
    """Where alerts go: a web hook, a chat, a mailbox.

    Attributes:
        url: an address as Apprise writes it; a plain http(s) one gets each message as a JSON document
            with `title` and `message`. Secret, for what opens the hook stands in it.

    Example:
        ```python
        from blocks import Notifier

        notifier = Notifier.load("BLOCK_NAME")
        notifier.deliver("stale", "no dataset for three days")
        ```
    """

    _block_type_name = "AstrID Notifier"
    _block_type_slug = "astrid-notifier"
    _description = "Where alerts on stale training data go: a web hook, a chat, a mailbox."
    _documentation_url = HttpUrl("https://github.com/Lawrence908/AstrID")

    url: SecretStr = Field(
        title="Address",
        description="https://… of a web hook, or slack://, mailto:// and others as Apprise has them.",
    )

    def block_initialization(self) -> None:
        """Make the client; nothing is contacted yet."""
        self._start_apprise_client(SecretStr(_as_apprise(self.url.get_secret_value())))

    def deliver(self, subject: str, body: str) -> None:
        """Return when the message was taken.

        Raises:
            NotDeliveredError: if it was not; the message says where, without what is secret of it.
        """
        send: Any = self.notify  # Prefect's annotation lacks `_sync`
        try:
            with self.raise_on_failure():
                send(body, subject, _sync=True)  # in a notebook too
        except NotificationError:
            parts = urlsplit(self.url.get_secret_value())
            raise NotDeliveredError(
                f"{parts.scheme}://{parts.hostname or '…'} did not take the message {subject!r}; "
                "see whether it answers, and whether ASTRID_NOTIFY_URL is still right"
            ) from None


def can_notify(url: str) -> bool:
    """Tell whether anybody can be reached by an address of this form."""
    return Apprise.instantiate(_as_apprise(url)) is not None


def _as_apprise(url: str) -> str:
    """Return `url` for Apprise, which knows chats' own web hooks but no plain ones."""
    scheme, colon, rest = url.partition(":")
    if scheme not in WEB or Apprise.instantiate(url) is not None:
        return url
    return f"{WEB[scheme]}{colon}{rest}"
