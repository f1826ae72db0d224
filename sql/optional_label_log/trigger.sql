-- Logs every change of a review from now on. The function acts with the rights of who makes it, so that AstrID needs none on our table.
CREATE FUNCTION training_log_label_event() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
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
