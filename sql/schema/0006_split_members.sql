-- Groups are looked up not by place alone: also by shared exposure, reference, night and designation; crowded ones are cut by tiles.
-- Members of before keep a reach of nothing: only their place counts.
ALTER TABLE training_split_ledger ADD COLUMN IF NOT EXISTS tile varchar(32);
ALTER TABLE training_split_members
    ADD COLUMN IF NOT EXISTS half_arcsec double precision NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS exposure varchar(64) NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS reference text,
    ADD COLUMN IF NOT EXISTS mover varchar(64),
    ADD COLUMN IF NOT EXISTS field text;
CREATE INDEX IF NOT EXISTS ix_training_split_members_mover ON training_split_members (policy, mover) WHERE mover <> '';
CREATE INDEX IF NOT EXISTS ix_training_split_members_field ON training_split_members (policy, field) WHERE field IS NOT NULL;
