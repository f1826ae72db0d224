"""No way of writing a password into an address gets it shown."""

import pytest
from sqlalchemy import create_engine

from astrid_training.database import check_database
from astrid_training.errors import DatabaseUnavailableError
from astrid_training.urls import mask_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hidden@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:hid@den@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:hid/den@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:hid@d/en@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:hid#den@h/db", "postgresql://u:***@h/db"),
        ("postgresql://:hidden@h/db", "postgresql://:***@h/db"),
        (
            "postgresql://h/db?user=u&password=hidden&x=1",
            "postgresql://h/db?user=u&password=***&x=1",
        ),
        ("postgresql://h/db?sslpassword=hidden", "postgresql://h/db?sslpassword=***"),
        (
            "https://h/a.fits?X-Amz-Credential=hidden&X-Amz-Signature=hidden&x=1",
            "https://h/a.fits?X-Amz-Credential=***&X-Amz-Signature=***&x=1",
        ),
        ("https://hidden@h/mlflow", "https://***@h/mlflow"),
        ("http://u:hidden@h:5000", "http://u:***@h:5000"),
        ("postgresql://me@h/db?application_name=a@b", "postgresql://me@h/db?application_name=a@b"),
        ("http://127.0.0.1:5000/a@b", "http://127.0.0.1:***@b"),  # rather too much than too little
        ("file:///data/a@b", "file:///data/a@b"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
    ],
)
def test_what_is_shown_of_an_address(url: str, shown: str) -> None:
    assert mask_url(url) == shown


@pytest.mark.parametrize(
    "place", ["me:hidden@127.0.0.1:1/db", "127.0.0.1:1/db?user=me&password=hidden"]
)
def test_an_unreachable_database_is_named_without_its_password(place: str) -> None:
    with pytest.raises(DatabaseUnavailableError, match=r"127\.0\.0\.1") as caught:
        check_database(create_engine(f"postgresql+psycopg://{place}"))

    assert "hidden" not in str(caught.value)
