"""Reads what it is told on stdin, each thing in a child of its own with bounds, and says what came of it.

A line in is JSON: what reads it, and its path. A line out is JSON: outcome, seconds, peak MB.
"""

import json
import logging
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from uuid import UUID

import astropy.io.fits  # imported here, so that no child pays for it
import astropy.wcs  # noqa: F401 - the same
import pyarrow as pa
import yaml

from astrid_training.alerts.alert import AlertRefusedError
from astrid_training.alerts.cutouts import read_cutouts, stamp_file
from astrid_training.alerts.labels import GivenLabels
from astrid_training.alerts.packets import Packet, read_packets
from astrid_training.alerts.placing import place_on_cutout
from astrid_training.alerts.rows import alert_rows
from astrid_training.alerts.surveys import parse_alert
from astrid_training.errors import CollectionRefusedError, FitsRefusedError, SurveyProfileError
from astrid_training.fits import check_fits
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.surveys import profile_for, read_frame
from astrid_training.surveys.profiles import profiles
from deployments.options import given_parameters

SECONDS = 20  # a child that is still at it is killed
ADDRESS_SPACE = 3 << 30
SURVEYS = ("generic", "hst")
"""Without and with planes of missing pixels beside the image."""
MOST_TOLD = 50
LONGEST_MESSAGE = 20_000
SURVEY_ID = UUID(int=7)


def fits(path: Path) -> str:
    """Read an image as a collection does."""
    outcomes = [_image(path, survey) for survey in SURVEYS]
    return "read" if "read" in outcomes else outcomes[0]


def _image(path: Path, survey: str) -> str:
    try:
        check_fits(path)
        read_frame(path, profile_for(survey), "science").data.sum()
    except FitsRefusedError as error:
        return error.reason if error.detail.isprintable() else "unprintable"
    return "read"


def alerts(path: Path) -> str:
    """Read the alerts of a file as an import does, and tell the outcome of each."""
    return " ".join(map(_alert, islice(read_packets(path), MOST_TOLD)))


def _alert(packet: Packet) -> str:
    try:
        if packet.refused is not None:
            raise packet.refused
        alert = parse_alert(packet.record, None, packet.triplet)
        GivenLabels().of(alert, packet.record)
        cutouts = read_cutouts(alert)
        pixel = place_on_cutout(alert, cutouts["science"].pixels.shape)
        stamp_file(alert, cutouts)
        json.dumps(alert_rows(alert, SURVEY_ID, pixel), default=str)
    except AlertRefusedError as error:
        return error.reason
    return "imported"


def parameters(path: Path) -> str:
    """Read a YAML file of parameters."""
    try:
        given_parameters(TrainingDataCollectionParams, {}, path)
    except (CollectionRefusedError, yaml.YAMLError) as error:  # as the commands do
        return "refused" if len(str(error)) < LONGEST_MESSAGE else "long"
    return "read"


def survey_profiles(path: Path) -> str:
    """Read the survey profiles of a home."""
    try:
        profiles(path)
    except SurveyProfileError as error:
        return "refused" if len(str(error)) < LONGEST_MESSAGE else "long"
    return "read"


READERS: dict[str, Callable[[Path], str]] = {
    one.__name__: one for one in (fits, alerts, parameters, survey_profiles)
}


def watched(kind: str, path: Path) -> dict[str, object]:
    """Return what came of a path in a child of its own."""
    readable, writable = os.pipe()
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        signal.alarm(SECONDS)
        try:
            said = READERS[kind](path)
        except BaseException as error:  # noqa: BLE001 - the test shows whatever it was
            said = f"{type(error).__name__}: {error} {traceback.format_exc()}"
        os.write(writable, said.encode(errors="replace")[:LONGEST_MESSAGE])
        os._exit(0)
    os.close(writable)
    _, status, usage = os.wait4(child, 0)
    said = os.read(readable, LONGEST_MESSAGE).decode(errors="replace")
    os.close(readable)
    return {
        "outcome": said if status == 0 else f"killed by signal {os.WTERMSIG(status)}",
        "seconds": round(time.monotonic() - begun, 3),
        "peak_mb": round(usage.ru_maxrss / 1024),
    }


if __name__ == "__main__":
    logging.disable()
    pa.set_cpu_count(1)  # threads of Arrow's are none in a child
    profile_for("generic")
    for line in sys.stdin:
        told = json.loads(line)
        print(json.dumps(watched(told["kind"], Path(told["path"]))), flush=True)
