"""Each survey has a profile; users add and change them in YAML; an unknown one assumes nothing."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal

from astrid_training.errors import SurveyProfileError
from astrid_training.settings import training_home
from astrid_training.surveys import Kind, profile_for, read_frame
from astrid_training.surveys.profiles import profiles

SURVEYS = (
    *("decam", "generic", "hst", "jwst", "rubin"),
    *("sim_hst", "sim_jwst", "sim_ztf", "small_stamps", "tess", "ztf"),
)
KINDS: tuple[Kind, ...] = get_args(Kind)
Add = Callable[..., Path]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    """Return a function that writes a file of profiles into a home of its own."""
    monkeypatch.setenv("ASTRID_TRAINING_HOME", str(tmp_path))
    folder = tmp_path / "surveys"
    folder.mkdir()

    def write(text: str, name: str = "mine.yaml") -> Path:
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_built_in_surveys_are_there_for_every_kind() -> None:
    known = profiles(None)

    assert sorted(known) == sorted(SURVEYS)
    for name, by_kind in known.items():
        assert tuple(by_kind) == KINDS
        assert {profile.name for profile in by_kind.values()} == {name}


@pytest.mark.parametrize("name", ["ztf", "ZTF", " ztf "])
def test_a_survey_is_found_by_its_name_in_any_case(name: str) -> None:
    assert profile_for(name).name == "ztf"


def test_simulated_and_real_frames_of_ztf_state_their_seeing_in_their_own_units() -> None:
    assert profile_for("sim_ztf").seeing_unit == "arcsec"
    assert profile_for("ztf").seeing_unit == "px"


@pytest.mark.parametrize("name", ["sim_hst", "sim_jwst"])
def test_simulated_surveys_are_like_the_real_ones_but_say_more_in_their_header(name: str) -> None:
    simulated, real = profile_for(name), profile_for(name.removeprefix("sim_"))

    same = {"hdus", "dq_missing", "times", "psf_fwhm_px", "pixel_scale_arcsec", "bands"}
    assert simulated.model_dump(include=same) == real.model_dump(include=same)
    assert simulated.keywords.gain == ("GAIN",)
    assert simulated.keywords.band == real.keywords.band


def test_an_unknown_survey_is_generic() -> None:
    profile = profile_for("no such survey")

    assert profile.name == "generic"
    assert (profile.units, profile.time_scale, profile.reference_values) == (None, None, {})


@pytest.mark.parametrize("name", [name for name in SURVEYS if not name.startswith("sim")])
def test_stamps_of_every_survey_are_told_apart_by_their_names(name: str) -> None:
    hdus = profile_for(name, "stamp").hdus

    assert hdus["science"] == ("SCIENCE",)
    assert hdus["reference"] == ("REFERENCE", "TEMPLATE")
    assert hdus["difference"] == ("DIFFERENCE",)
    assert profile_for(name, "stamp").difference_sign_keyword == "DIFFSIGN"


def test_a_kind_that_nothing_is_said_of_is_read_as_the_survey() -> None:
    assert profile_for("decam", "processed") == profile_for("decam")
    assert profile_for("ztf", "stamp") != profile_for("ztf")


MINE = """
my_survey:
  hdus: {science: SCI, difference: 2, dq: FLAGS}
  dq_missing: [1, 8]
  keywords:
    gain: EGAIN
    exposure: [ITIME]
  times: [{keyword: T-START, form: jd}]
  time_scale: tai
  pixel_scale_arcsec: 0.4
  psf_fwhm_px: 2.5
  units: adu
  difference_sign: -1
  kinds:
    processed: {hdus: {science: null}}
"""


def test_a_user_adds_a_survey_without_code(add: Add, tmp_path: Path) -> None:
    add(MINE)
    pixels = np.arange(12, dtype=np.float32).reshape(3, 4)
    flags = np.array([[1, 2, 8, 0]] * 3, np.int16)
    science = fits.ImageHDU(pixels, name="SCI")
    science.header.update({"EGAIN": 1.5, "ITIME": 86.4, "T-START": 2460000.75})
    path = tmp_path / "a.fits"
    difference = fits.ImageHDU(2 * pixels, name="SUB")
    hdus = [fits.PrimaryHDU(), science, difference, fits.ImageHDU(flags, name="FLAGS")]
    fits.HDUList(hdus).writeto(path)

    frame = read_frame(path, profile_for("My_Survey"), "science")

    assert frame.meta.gain == 1.5
    assert frame.meta.mjd_mid == pytest.approx(60000.2505)
    assert (frame.meta.time_scale, frame.meta.units) == ("tai", "adu")
    assert_array_equal(np.isnan(frame.data), [[True, False, True, False]] * 3)
    turned = read_frame(path, profile_for("my_survey"), "difference")
    assert_array_equal(turned.data[:, 1], -2 * pixels[:, 1])
    assert profile_for("my_survey", "processed").hdus["science"] == ()


def test_a_user_changes_a_built_in_survey_and_the_others_stay(add: Add) -> None:
    add("ztf: {like: ztf, psf_fwhm_px: 3.3, keywords: {gain: [MYGAIN]}}")

    changed = profile_for("ztf")

    assert changed.psf_fwhm_px == 3.3
    assert (changed.keywords.gain, changed.keywords.zero_point) == (("MYGAIN",), ("MAGZP",))
    assert profile_for("ztf", "stamp").psf_fwhm_px == 3.3
    assert profile_for("sim_ztf").psf_fwhm_px == 2.4
    assert profile_for("hst").name == "hst"


def test_another_home_has_its_own_profiles(
    add: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(MINE)
    assert profile_for("my_survey").name == "my_survey"

    monkeypatch.setenv("ASTRID_TRAINING_HOME", str(tmp_path / "elsewhere"))

    assert profile_for("my_survey").name == "generic"


def test_files_are_read_once_a_process(add: Add) -> None:
    path = add(MINE)
    first = profile_for("my_survey")
    path.write_text("- broken", encoding="utf-8")

    assert profile_for("my_survey") is first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a list", ["mapping of survey names"]),
        ("a: [", ["is not YAML"]),
        ("a: 3", ["survey a", "mapping of fields"]),
        ("3: {like: ztf}", ["survey 3"]),
        ("a: {like: nothing}", ["survey a", "like: 'nothing'", "'hst'"]),
        ("a: {}", ["survey a", "pixel_scale_arcsec: field required", "psf_fwhm_px"]),
        ("a: {like: ztf, psf: 3}", ["survey a", "psf: extra inputs are not permitted"]),
        ("a: {like: ztf, psf_fwhm_px: wide}", ["psf_fwhm_px: ", "'wide'"]),
        ("a: {like: ztf, psf_fwhm_px: -1}", ["psf_fwhm_px: ", "greater than 0"]),
        ("a: {like: ztf, keywords: {gian: [G]}}", ["keywords.gian"]),
        ("a: {like: ztf, keywords: [G]}", ["keywords"]),
        ("a: {like: ztf, difference_sign: 0}", ["difference_sign", "1 or -1"]),
        ("a: {like: ztf, hdus: {image: SCI}}", ["hdus.image"]),
        ("a: {like: ztf, times: [{form: mjd}]}", ["times.0.keyword"]),
        ("a: {like: ztf, kinds: {cooked: {}}}", ["kinds", "raw, processed, stamp"]),
        ("a: {like: ztf, kinds: [raw]}", ["kinds"]),
        ("a: {like: ztf, kinds: {raw: 3}}", ["kinds.raw"]),
        ("a: {like: ztf, kinds: {raw: {units: 3}}}", ["units", "valid string"]),
        ("a: {like: [ztf]}", ["survey a", "like"]),
    ],
)
def test_a_wrong_profile_is_named_by_file_survey_and_field(
    add: Add, text: str, said: list[str]
) -> None:
    path = add(text)

    with pytest.raises(SurveyProfileError) as caught:
        profile_for("ztf")
    for words in [str(path), *said]:
        assert words in str(caught.value)


def test_a_file_that_is_no_text_is_named(add: Add) -> None:
    add("").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(SurveyProfileError, match=r"mine\.yaml: is not UTF-8"):
        profile_for("ztf")


def test_a_survey_in_two_files_is_refused(add: Add) -> None:
    add(MINE, "a.yaml")
    add(MINE, "b.yaml")

    with pytest.raises(SurveyProfileError, match=r"b\.yaml: survey my_survey: stands in .*a\.yaml"):
        profile_for("ztf")


def test_an_empty_file_adds_nothing(add: Add) -> None:
    add("# nothing yet\n")

    assert sorted(profiles(training_home())) == sorted(SURVEYS)


def test_the_profiles_of_the_docs_are_understood(add: Add) -> None:
    page = Path(__file__).parents[3] / "docs" / "how-to" / "add-a-survey.md"
    examples = re.findall(r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    for number, example in enumerate(examples):
        add(example, f"{number}.yaml")

    assert profile_for("my_survey").hdus["reference"] == ("REF", "SCI")
    assert profile_for("my_survey").keywords.exposure == ("EXPTIME",)
    assert profile_for("ztf").psf_fwhm_px == 2.1
    assert profile_for("two_faced", "processed").hdus["science"] == ()
