"""What goes wrong between us and MLflow is told without a password."""

import traceback

import pytest

from astrid_training.tracking import TrackingUnavailableError, tracking


@pytest.mark.parametrize("uri", ["http://me:hidden@127.0.0.1:1", "https://hidden@mlflow.example/"])
def test_a_silent_server_is_named_without_its_password(uri: str) -> None:
    from mlflow.exceptions import MlflowException

    with (
        pytest.raises(TrackingUnavailableError, match="astrid-training up") as caught,
        tracking(uri),
    ):
        raise MlflowException(f"API request to {uri.rstrip('/')}/api/2.0 failed: refused")

    assert "refused" in str(caught.value)
    assert "hidden" not in "".join(traceback.format_exception(caught.value))


def test_a_silent_server_is_told_with_mlflows_own_words() -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(TrackingUnavailableError) as caught, tracking("http://127.0.0.1:1"):
        raise MlflowException("refused")

    assert isinstance(caught.value.__cause__, MlflowException)
