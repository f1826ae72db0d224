"""Why a subject leaves a collection: each code with its meaning and its cure."""

from types import MappingProxyType

__all__ = ["REASONS", "explain"]

REASONS = MappingProxyType(
    {
        # labels
        "contradiction": "verdict and class of its reviews contradict each other; review it again",
        "unmapped_label": "its reviews use words that the taxonomy does not know; "
        "correct the label, or add the word to taxonomy.yaml",
        "ambiguous": "its reviewers do not settle it; a further review decides",
        "below_confidence": "less sure than confidence_threshold; review it again or lower that",
        "class_unknown": "real, but nobody named its class, and anomaly_types asks for some",
        "class_not_selected": "of a class that anomaly_types leaves out",
        "beyond_max_samples": "not among the first max_samples; raise that",
        "no_difference": "no completed difference image; run the differencing",
        # files
        "missing_object": "the database names a file that is not there; "
        "restore it or correct the path",
        "truncated": "a file ends before its header says; fetch it again from the survey",
        "changed": "a file changed while it was read; collect again",
        "no_science": "the observation names no file of its own; ingest it again",
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
    }
)
"""Reason code -> what it means and what to do. Codes of the FITS guard explain themselves."""


def explain(reason: str) -> str:
    """Return the meaning and the cure of a reason code, or the code in words."""
    return REASONS.get(reason, reason.replace("_", " "))
