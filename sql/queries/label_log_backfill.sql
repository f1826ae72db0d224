-- Takes the reviews that were there before the log began into it, as they are. Uses ix_training_label_events_event.
INSERT INTO training_label_events (operation, event_id, row)
SELECT 'I', v.id, to_jsonb(v)
FROM validation_events v
WHERE NOT EXISTS (SELECT FROM training_label_events l WHERE l.event_id = v.id)
ORDER BY v.created_at, v.id
