-- How far each pixel of a difference stands out lies in a pack beside the flags; masks are drawn from it.

ALTER TABLE training_image_catalogue ADD COLUMN IF NOT EXISTS significance_pack char(64);
