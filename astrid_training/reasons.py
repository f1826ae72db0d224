"""Why a subject leaves a collection: each code with its meaning and its cure."""

from types import MappingProxyType

__all__ = ["ALERT_REASONS", "REASONS", "explain"]

REASONS = MappingProxyType(
    {
        # what it is and how it was seen
        "proprietary": "its data are not public; set include_proprietary if they are yours to use",
        "poor_seeing": "the seeing of its observation is over max_seeing_arcsec, or not known",
        "high_airmass": "the airmass of its observation is over max_airmass, or not known",
        # labels
        "contradiction": "verdict and class of its reviews contradict each other; review it again",
        "unmapped_label": "its reviews use words that the taxonomy does not know; "
        "correct the label, or add the word to taxonomy.yaml",
        "needs_second_review": "all its reviews agree, but by what is known of the reviewers and of "
        "how rare such subjects are, the contrary is as likely; a further review decides",
        "ambiguous": "its reviewers do not settle it; a further review decides",
        "below_confidence": "less sure than confidence_threshold; review it again or lower that",
        "class_unknown": "real, but nobody named its class, and anomaly_types asks for some",
        "class_not_selected": "of a class that anomaly_types leaves out",
        "below_model_score": "the model's score is below min_model_score, or there is none",
        "beyond_max_samples": "not among the first max_samples; raise that",
        "beyond_bogus_per_real": "more rejected detections than negatives.bogus_per_real allows; "
        "raise that",
        "mutated_after_as_of": "a row of it changed after as_of, and strict_as_of asks for none such",
        "no_difference": "no completed difference image; run the differencing, or set allow_science_masks",
        # files
        "missing_object": "the database names a file that is not there; "
        "restore it or correct the path",
        "changed": "a file changed while it was read; collect again",
        "no_processed": "no completed preprocess run with an image; run it, or set source_policy",
        "no_science": "the observation names no file of its own; ingest it again",
        "host_not_allowed": "a file lies on a web server that may not be asked; "
        "add its host to ASTRID_SOURCE_HOSTS, or store the file in the bucket",
        "folder_not_allowed": "a file of the worker's machine lies in none of the folders that may be "
        "read; add its folder to ASTRID_SOURCE_FOLDERS, or store the file in the bucket",
        "web_refused": "a web server does not give a file, or not as a file; "
        "store it in the bucket, or correct the path",
        # what the FITS guard refuses; each concerns one of the sample's files
        "empty": "a file has no bytes; fetch it again from the survey",
        "unusable_path": "the database names a file in a way that leads nowhere; correct the path",
        "truncated": "a file ends before its header says; fetch it again from the survey",
        "too_large": "a file is over the size limit; store cut-outs or single detectors instead",
        "not_fits": "a file is not FITS; correct the path or fetch it again",
        "html_page": "a file is a web page, often an error message saved under the image's name; "
        "fetch it again",
        "no_end": "a header does not end; fetch the file again",
        "huge_header": "a header is longer than the limit; correct the file",
        "bad_gzip": "a compressed file is damaged; fetch it again",
        "gzip_bomb": "a compressed file unpacks to more than the limit; store it uncompressed",
        "bad_header": "a header holds a value that makes no sense; "
        "look at the file, then fetch it again or correct it",
        "bad_bitpix": "BITPIX names no type of pixel; correct the file",
        "bad_axes": "the axes of an image make no sense; correct the file",
        "bad_scaling": "BSCALE or BZERO is no usable number; correct the file",
        "bad_tiles": "the tiles of a compressed image do not add up, lie outside their file, "
        "or unpack to more than they say; compress it again",
        "bad_checksum": "a file's bytes are not those of its CHECKSUM or DATASUM; fetch it again, "
        "or, where a tool copied the keywords to other data, remove them",
        "inexact_integers": "an image holds integers beyond 2^53, which no float can; "
        "store it as smaller integers or as floats",
        "no_finite_pixels": "no pixel of an image has a value: all are NaN, infinite or BLANK; "
        "fetch the file again",
        "bad_sign": "the keyword that tells a difference's sign is neither +1 nor -1; "
        "correct the file",
        "too_many_pixels": "an image is over the pixel limit; store cut-outs instead",
        "too_many_hdus": "a file has more HDUs than the limit; split it",
        "no_image": "a file holds no image where the survey's profile looks for one; "
        "correct the file or the survey's profile",
        "unreadable": "a file's pixels cannot be decoded; fetch it again",
        # pixels
        "valid_fraction": "too many pixels of its stamp are missing",
        "bad_centre": "pixels at its centre are missing",
        "saturated_centre": "its centre is saturated, so its shape and flux are lost",
        "template_coverage": "the reference covers too little of its stamp",
        "off_image": "its position is not on the image; check the image's WCS",
        "edge": "too much of its stamp lies beyond the image",
        "no_valid_pixels": "every pixel of its stamp is missing",
        "constant": "all pixels of its stamp are equal: nothing can be learnt from it",
        "target_masked": "the pixels of the target itself are missing",
        # splits
        "bridge": "its group would join two splits that earlier datasets keep apart; it waits in "
        "quarantine, out of the loader",
        "injected_held_back": "injected sources never test a model, unless "
        "negatives.injected_in_test is set",
        "sky_held_back": "there is more sky in its split than negatives.most_sky_share allows",
        "between_splits": "it was observed in the gap that strategy time leaves between two splits",
        "seen_before": "its object is in an earlier split of strategy time already",
        "duplicate": "another sample has exactly these pixels",
        "guard": "its stamp shares pixels with one of val or test, so nothing is trained on it",
        "near_duplicate": "it shows the pixels of a sample of val or test under another name",
        # datasets that are chosen from others
        "not_chosen": "in the dataset that the samples were chosen from, but not chosen",
    }
)
"""Reason code -> what it means and, where something can be done, what to do."""

ALERT_REASONS = MappingProxyType(
    {
        "unknown_format": "a file that is no Avro, Parquet or CSV; convert it",
        "damaged_file": "a file that cannot be read to its end, though records before the damage "
        "were; fetch it again",
        "not_an_alert": "neither a ZTF candidate nor a Rubin diaSource; leave it out",
        "bad_identifier": "the alert's number is no whole number, perhaps because a program took it "
        "for a float; write it as text",
        "bad_text": "a text holds a NUL or half a character, which the database cannot; correct it",
        "no_exposure": "time, field, filter or visit are missing; complete the table",
        "no_position": "right ascension or declination are missing; complete the table",
        "no_difference_sign": "isdiffpos is missing, so the difference may be upside down; "
        "complete the table",
        "no_cutouts": "the packet has no cutouts; ask the broker for packets with cutouts",
        "bad_cutout": "a cutout is damaged or no FITS file; fetch the packet again",
        "cutout_shapes": "the three cutouts differ in shape; fetch the packet again",
        "cut_short": "a cutout is short, and its place on the frame does not tell why; "
        "give xpos and ypos",
        "no_file": "a table names a file that is not there; correct its column file",
        "bad_path": "a table names a file outside its folder; correct its column file",
    }
)
"""The same for alerts that are not imported."""


def explain(reason: str) -> str:
    """Return the meaning and the cure of a reason code, or the code in words."""
    return REASONS.get(reason, reason.replace("_", " "))
