-- Which code made a dataset, and what became of a training in MLflow: known without asking MLflow.
ALTER TABLE training_datasets ADD COLUMN IF NOT EXISTS code_version varchar(100);

ALTER TABLE training_runs
    ADD COLUMN IF NOT EXISTS code_version varchar(100),
    ADD COLUMN IF NOT EXISTS mlflow_model_id varchar(64),  -- of the logged model, m-…
    ADD COLUMN IF NOT EXISTS registered_name varchar(255),
    ADD COLUMN IF NOT EXISTS registered_version varchar(16);
