-- Finds the reviews that were changed or deleted after an instant without reading the whole log.
CREATE INDEX ix_training_label_events_changes ON training_label_events (at) WHERE operation IN ('U', 'D');
