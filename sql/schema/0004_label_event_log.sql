-- only-after-created: 0001
-- Log every change of a review. On AstrID's own database this trigger is not set: its tables are never altered.

CREATE FUNCTION training_log_label_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO training_label_events (operation, event_id, row) VALUES ('D', OLD.id, to_jsonb(OLD));
    ELSE
        INSERT INTO training_label_events (operation, event_id, row) VALUES (left(TG_OP, 1), NEW.id, to_jsonb(NEW));
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER training_log_label_event
    AFTER INSERT OR UPDATE OR DELETE ON validation_events
    FOR EACH ROW EXECUTE FUNCTION training_log_label_event();
