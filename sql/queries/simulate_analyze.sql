-- Thousands of new rows: without new statistics the first queries would be planned as for an empty table.
ANALYZE surveys, observations, difference_runs, detections, validation_events
