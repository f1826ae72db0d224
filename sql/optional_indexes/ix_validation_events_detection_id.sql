-- Reviews of the detections of a date range, found one by one instead of by reading all reviews.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_validation_events_detection_id ON validation_events (detection_id)
