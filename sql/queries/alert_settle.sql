-- Status and label of detections as AstrID sets them after a review by people: what the latest says. By primary key.
UPDATE detections d
SET status = CAST(CASE WHEN told.is_valid THEN 'VALIDATED' ELSE 'REJECTED' END AS detection_status),
    is_validated = told.is_valid, human_label = told.label, updated_at = :now
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS told (detection_id uuid, is_valid boolean, label text)
WHERE d.id = told.detection_id
