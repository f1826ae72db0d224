"""What a store's client says becomes cause and cure, and no key is among the words."""

import pytest

from astrid_training.buckets import Credentials, explain, open_bucket
from astrid_training.patience import PATIENT

KEYS = Credentials("https://me:hidden@r2.example", "hidden-id", "hidden-secret", "auto", "hidden-t")
PUT = "Generic S3 error: Error performing PUT https://r2.example/b/k in 9ms"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            (
                f"{PUT} - Server returned non-2xx status code: 403 Forbidden: <?xml?>\n<Error>"
                "<Code>RequestTimeTooSkewed</Code><AWSAccessKeyId>hidden-id</AWSAccessKeyId></Error>"
            ),
            "the server answers 403 Forbidden (RequestTimeTooSkewed); set this machine's clock",
        ),
        (
            (
                f"{PUT}, after 6 retries, max_retries: 6, retry_timeout: 180s  - Server returned non-2xx "
                "status code: 503 Service Unavailable: <Error><Code>SlowDown</Code></Error>"
            ),
            (
                "the server answers 503 Service Unavailable (SlowDown) after 7 tries; "
                "it is overloaded or fails: run it again later"
            ),
        ),
        (
            f"{PUT} - HTTP error: error sending request",
            (
                "https://me:***@r2.example gives no answer; "
                "check CLOUDFLARE_R2_ENDPOINT_URL, ASTRID_STORE_REGION and the network"
            ),
        ),
        (
            (
                "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 1s - "
                "HTTP error: error sending request"
            ),
            (
                "no keys are set, and this machine has no role of its own; "
                "check CLOUDFLARE_R2_ACCESS_KEY_ID and CLOUDFLARE_R2_SECRET_ACCESS_KEY, "
                "and what they may do in this bucket"
            ),
        ),
        (
            "Generic S3 error: odd: hidden-id hidden-secret hidden-t\nmore",
            (
                "Generic S3 error: odd: *** *** ***; check ASTRID_STORE_URL, "
                "CLOUDFLARE_R2_ENDPOINT_URL, ASTRID_STORE_REGION and the network"
            ),
        ),
    ],
)
def test_what_is_told_of_a_failure(said: str, told: str) -> None:
    assert explain(OSError(f"{said}\n\nDebug source:\nhidden-id hidden-secret"), KEYS) == told


def test_credentials_show_no_key() -> None:
    assert "hidden" not in repr(KEYS)


@pytest.mark.parametrize("url", ["s3://", "ftp://host/x", "bucket"])
def test_what_names_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="set ASTRID_STORE_URL"):
        open_bucket(url, KEYS, PATIENT)
