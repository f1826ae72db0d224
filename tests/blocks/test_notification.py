"""An alert reaches who is to be told, or says that it did not, without what is secret of the address."""

from typing import Any

import pytest
from pydantic import SecretStr

from astrid_training.settings import InvalidSettingError, Settings, resolve
from blocks import Notifier, places
from blocks.notification import NotDeliveredError
from deployments.bootstrap import _blocks, save_blocks

SLACK = "https://hooks.slack.com/services/T00000000/B00000000/xxxxxxxxxxxxxxxxxxxxxxxx"


def _settings(home: Any, notify_url: str) -> Settings:
    return resolve(
        home,
        database_url="postgresql://db.example/astrid",
        mlflow_tracking_uri="http://mlflow.example",
        notify_url=notify_url,
    )


def test_a_web_hook_gets_subject_and_body_as_json(web_hook: Any) -> None:
    Notifier(url=SecretStr(web_hook.url)).deliver("stale", "no dataset for three days")

    (posted,) = web_hook.posted
    assert (posted["title"], posted["message"]) == ("stale", "no dataset for three days")


def test_a_chats_own_web_hook_gets_the_chats_own_form() -> None:
    (client,) = Notifier(url=SecretStr(SLACK))._apprise_client

    assert type(client).__name__ == "NotifySlack"


@pytest.mark.parametrize("status", [500, 404])
def test_a_message_that_is_not_taken_says_where_and_shows_no_token(
    web_hook: Any, status: int
) -> None:
    web_hook.status = status
    notifier = Notifier(url=SecretStr(web_hook.url))

    with pytest.raises(
        NotDeliveredError, match=r"http://127\.0\.0\.1 did not take .*stale"
    ) as caught:
        notifier.deliver("stale", "body")

    shown = f"{caught.value!r} {notifier!r} {notifier.model_dump_json()}"
    assert "t0ken" not in shown
    assert caught.value.__cause__ is None


def test_an_address_that_reaches_nobody_is_refused_and_not_shown(tmp_path: Any) -> None:
    settings = _settings(tmp_path, "carrier-pigeon://s3cr3t")

    with pytest.raises(InvalidSettingError, match=r"notify_url \(from argument\)") as caught:
        _blocks(settings)

    assert "s3cr3t" not in f"{caught.value} {settings!r}"


def test_who_is_told_is_who_the_saved_block_names(
    stack: Any, tmp_path: Any, web_hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stack
    places.clear()
    assert places.notifier() is None

    monkeypatch.setattr("deployments.bootstrap.NAME", "told")
    monkeypatch.setattr(places, "NAME", "told")
    save_blocks(_settings(tmp_path, web_hook.url))
    notifier = places.notifier()
    assert notifier is not None
    notifier.deliver("subject", "body")

    places.clear()
    assert [one["title"] for one in web_hook.posted] == ["subject"]
