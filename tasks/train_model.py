"""What trigger_training started: the network, its metrics, its row."""

from typing import Any

from prefect import task
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from astrid_training.astrid_models import keep_model_row
from astrid_training.catalogue import get_dataset
from astrid_training.checkpoints import kept_folder, training_key
from astrid_training.dataset import splits_from
from astrid_training.lineage import (
    finish_training_run,
    log_training_metrics,
    log_training_report,
    start_training_run,
)
from astrid_training.models import RegisteredModel, register_trained_model
from astrid_training.networks import model_name, network_alone, network_signature
from astrid_training.records import TrainingDataset
from astrid_training.training import TrainingParams, TrainingResult, train_unet
from astrid_training.training_plots import draw_plots
from astrid_training.trainings import attach_training_run, close_training_run, open_training_run
from blocks import places
from tasks.events import TRAINING_COMPLETED, TRAINING_FAILED, announce

__all__ = ["train_model"]

STEPS_PER_LINE = 25


@task(name="train_model", retries=0)  # the same seed fails the same way; a new run is a decision
def train_model(
    dataset_id: str, training_run_id: str | None, params: TrainingParams
) -> dict[str, float]:
    """Train on a dataset whose pixels this version would prepare alike, and return its figures.

    However it ends, the row of training_runs and the MLflow run are closed.

    Args:
        dataset_id: id, version or name.
        training_run_id: the row to close; None: one is opened here.
        params: how to train.
    """
    engine, uri = places.database(), places.tracking()
    dataset = get_dataset(engine, dataset_id)
    how, key = params.model_dump(mode="json"), str(flow_run.id)
    row = training_run_id or open_training_run(engine, str(dataset.id), how, key).id
    attach_training_run(engine, row, str(flow_run.id), how)
    mlflow_run_id = None
    try:
        tags = {"astrid.flow_run_id": str(flow_run.id), "astrid.training_run_id": row}
        mlflow_run_id = start_training_run(dataset, how, uri, tags=tags)
        result, registered = _train(dataset, params, mlflow_run_id, uri)
        model_id = keep_model_row(engine, registered, dataset, how, result.report.headline())
    except BaseException as error:
        close_training_run(engine, row, mlflow_run_id=mlflow_run_id, error=repr(error))
        if mlflow_run_id is not None:
            finish_training_run(mlflow_run_id, uri, status="FAILED")
        _tell(TRAINING_FAILED, row, dataset, {"error": type(error).__name__})
        raise
    figures = result.report.headline()
    close_training_run(
        engine,
        row,
        metrics=figures,
        mlflow_run_id=mlflow_run_id,
        registered=registered,
        model_id=model_id,
    )
    told = {"metrics": figures, "mlflow_run_id": mlflow_run_id}
    _tell(TRAINING_COMPLETED, row, dataset, told)
    return figures


def _tell(event: str, row: str, dataset: TrainingDataset, more: dict[str, Any]) -> None:
    payload = {"training_run_id": row, "dataset_id": str(dataset.id), "name": dataset.name, **more}
    related = [("dataset", f"astrid.dataset.{dataset.id}")]
    announce(event, f"astrid.training.{row}", payload, related)


def _train(
    dataset: TrainingDataset, params: TrainingParams, mlflow_run_id: str, uri: str
) -> tuple[TrainingResult, RegisteredModel]:
    logger = get_run_logger()

    def progress(step: int, loss: float) -> None:
        if step % STEPS_PER_LINE == 0 or step == params.steps:
            logger.info("step %d of %d: loss %.4f", step, params.steps, loss)

    splits = splits_from(dataset, places.store(), places.cache(), params.channels)
    with kept_folder(places.cache(), training_key(dataset, params)) as folder:
        # what a killed training of these very weights has left is gone on with
        result = train_unet(splits, params, folder, progress, resume=True)
        report = result.report
        log_training_metrics(mlflow_run_id, uri, result.metrics, result.loss_history, report.looks)
        log_training_report(mlflow_run_id, uri, result.report_path, draw_plots(report, folder))
        with network_alone(folder) as files:
            registered = register_trained_model(
                mlflow_run_id,
                uri,
                files,
                name=model_name(dataset),
                dataset=dataset,
                metrics=report.headline(),
                signature=network_signature(dataset, params),
            )
        finish_training_run(mlflow_run_id, uri, [result.state_path, result.metadata_path])
    logger.info(
        "kept the weights of step %d; test F1 %s; registered as %s version %s",
        report.best_step,
        result.metrics.get("test_f1"),
        registered.name,
        registered.version,
    )
    return result, registered
