"""Tokens count while they should, and the database does not know them."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from astrid_training.api_tokens import (
    TokenExistsError,
    TokenNotFoundError,
    create_token,
    find_token,
    list_tokens,
    revoke_token,
)


def test_a_token_is_known_by_itself_and_kept_as_a_hash(database: Engine) -> None:
    token = create_token(database, "web", ["read"], "ada", timedelta(days=1))
    found = find_token(database, token)

    assert found is not None
    assert (found.name, found.scopes, found.created_by) == ("web", ("read",), "ada")
    assert find_token(database, token + "x") is None
    with database.connect() as connection:
        row = connection.execute(text("SELECT CAST(t AS text) FROM training_api_tokens t")).scalar()
    assert token not in str(row)
    assert len(token) > 43  # 256 bits


@pytest.mark.parametrize(
    "change", ["expires_at = now()", "revoked_at = now()"], ids=["expired", "revoked"]
)
def test_a_token_that_has_had_its_time_is_none(database: Engine, change: str) -> None:
    token = create_token(database, "web", ["read"], "ada", timedelta(days=1))
    with database.begin() as connection:
        connection.execute(text(f"UPDATE training_api_tokens SET {change}"))

    assert find_token(database, token) is None
    assert [one.is_valid(datetime.now(UTC)) for one in list_tokens(database)] == [False]


def test_a_revoked_token_counts_no_more_and_its_name_is_not_given_again(database: Engine) -> None:
    token = create_token(database, "web", ["read"], "ada")
    first = revoke_token(database, "web")

    assert find_token(database, token) is None
    assert revoke_token(database, "web") == first
    with pytest.raises(TokenExistsError, match="another name"):
        create_token(database, "web", ["read"], "ada")


def test_use_is_noted_once_a_minute(database: Engine) -> None:
    token = create_token(database, "web", ["read"], "ada")
    for _ in range(2):
        find_token(database, token)
    (first,) = list_tokens(database)
    find_token(database, token)

    assert first.last_used_at is not None
    assert list_tokens(database) == [first]


@pytest.mark.parametrize("name", ["", "a b", "a\n", "é", "x" * 101])
def test_a_name_that_would_not_fit_a_log_line_is_refused(database: Engine, name: str) -> None:
    with pytest.raises(ValueError, match="no name of a token"):
        create_token(database, name, ["read"], "ada")


@pytest.mark.parametrize("scopes", [[], ["write"], ["read", "all"]])
def test_scopes_are_those_there_are(database: Engine, scopes: list[str]) -> None:
    with pytest.raises(ValueError, match="give one or more of read, collect"):
        create_token(database, "web", scopes, "ada")


def test_what_is_not_there_cannot_be_revoked(database: Engine) -> None:
    with pytest.raises(TokenNotFoundError, match="token list"):
        revoke_token(database, "web")
