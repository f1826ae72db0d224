"""Where a trained network is: a folder, or what MLflow and the database know of it by a name."""

import re
from pathlib import Path

from astrid_training.database import open_database, query
from astrid_training.errors import ModelNotFoundError
from astrid_training.networks import METADATA
from astrid_training.settings import Settings
from astrid_training.tracking import tracking

__all__ = ["find_model"]

TRAINING = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
RUN = re.compile(r"[0-9a-f]{32}")
HELP = (
    "give a folder with unet.json, a training's id (`astrid-training show DATASET`), an MLflow run's id, or "
    "NAME/VERSION of a registered model"
)


def find_model(model: str, settings: Settings, into: Path) -> Path:
    """Return the folder of a network; one that is not on this machine is fetched.

    A folder needs neither database nor MLflow.

    Args:
        model: a folder, the id of a training or of its MLflow run, or NAME/VERSION.
        settings: where database and MLflow are.
        into: an empty folder for what is fetched.

    Raises:
        ModelNotFoundError: if there is no such network.
        TrackingUnavailableError: if MLflow does not answer.
    """
    if (Path(model) / METADATA).exists():
        return Path(model)
    if TRAINING.fullmatch(model):
        return _of_run(_run_of_training(model, settings), settings, into)
    if RUN.fullmatch(model):
        return _of_run(model, settings, into)
    name, _, version = model.removeprefix("models:/").rpartition("/")
    if not name or not version.isdigit():
        raise ModelNotFoundError(f"no model {model!r}; {HELP}")
    return _of_run(_run_of_version(name, version, settings), settings, into)


def _run_of_training(training: str, settings: Settings) -> str:
    with open_database(settings.database_url).connect() as connection:
        row = connection.execute(query("training_run_find"), {"run_id": training}).one_or_none()
    if row is None or row.mlflow_run_id is None:
        state = "does not exist" if row is None else f"is {row.status} and has left no network"
        raise ModelNotFoundError(f"training {training} {state}; {HELP}")
    return str(row.mlflow_run_id)


def _run_of_version(name: str, version: str, settings: Settings) -> str:
    from mlflow.exceptions import MlflowException

    with tracking(settings.mlflow_tracking_uri) as client:
        try:
            return str(client.get_model_version(name, version).run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise ModelNotFoundError(f"MLflow has no model {name}/{version}; {HELP}") from error


def _of_run(run_id: str, settings: Settings, into: Path) -> Path:
    from mlflow.exceptions import MlflowException

    with tracking(settings.mlflow_tracking_uri) as client:
        try:
            held = {one.path for one in client.list_artifacts(run_id, "model")}
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            held = set()
        if f"model/{METADATA}" not in held:
            raise ModelNotFoundError(f"MLflow run {run_id} holds no network; {HELP}")
        return Path(client.download_artifacts(run_id, "model", str(into)))
