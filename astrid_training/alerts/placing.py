"""Where the detection lies on a cutout, also where the frame's edge cut it short."""

from astrid_training.alerts.alert import Alert, AlertRefusedError

__all__ = ["place_on_cutout"]


def place_on_cutout(alert: Alert, shape: tuple[int, int]) -> tuple[int, int]:
    """Return the 0-based (column, row) of the pixel of a cutout that holds the detection.

    A whole cutout holds it in the middle. A shorter one lost the part beyond the frame's edge, and
    the detection's place on the frame tells on which side that was.

    Args:
        alert: with its place on the survey's frame.
        shape: (height, width) of the cutout.

    Raises:
        AlertRefusedError: if the cutout is cut short and its place on the frame does not explain it.
    """
    height, width = shape
    frame_height, frame_width = alert.frame_shape or (None, None)
    return (
        _along(alert.x, width, alert.cutout_side, frame_width, "columns"),
        _along(alert.y, height, alert.cutout_side, frame_height, "rows"),
    )


def _along(at: float | None, size: int, side: int | None, frame: int | None, axis: str) -> int:
    if side is None or size >= side:
        return size // 2
    half = side // 2
    if at is not None and frame is not None:
        centre = round(at)
        first, last = max(centre - half, 0), min(centre + half, frame - 1)
        if last - first + 1 == size:
            return centre - first
    raise AlertRefusedError(
        "cut_short",
        f"the cutout has {size} of {side} {axis}, which a detection at {at} on a frame of {frame} "
        "does not explain, so its place on the cutout is not known",
    )
