"""The survey's files on this machine: in place, whole, or the bytes that are needed of them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import BinaryIO, cast

from astrid_training.digests import digest_value
from astrid_training.errors import FitsRefusedError, MissingObjectError, UnusablePathError
from astrid_training.fits import check_fits, check_size
from astrid_training.fits_content import check_promises, has_value, states_sums
from astrid_training.fits_guard import BLOCK, GZIP_MAGIC, Hdu, check_hdus
from astrid_training.fits_headers import Keywords
from astrid_training.fits_images import Image
from astrid_training.fits_tiles import has_packed_tiles, table_bytes, tile_extents
from astrid_training.lanes import DOWNLOADS_AT_ONCE, LANE_WIDTH, lane
from astrid_training.needs import Window
from astrid_training.parts import SUFFIX, ByteStream, Extent, Part, is_part, joined
from astrid_training.records import SourceFile
from astrid_training.sources import Sources
from astrid_training.store import NoRangesError, ObjectChangedError
from astrid_training.surveys.frames import MISSING_ABOVE, Kind, Role
from astrid_training.surveys.model import SurveyProfile
from astrid_training.surveys.reader import images_of, read_frame
from astrid_training.surveys.wcs import has_lookup_tables

__all__ = ["Need", "SourceCache"]

SMALL_BYTES = 1 << 20
"""So small a file comes whole: a request more costs as much."""
HEAD_BYTES = 32 << 10
"""The first bytes that are asked for: real files have up to 29 kB of headers before their image."""
GAP_BYTES = 64 << 10
"""What lies between two ranges and is no longer than that is fetched with them."""
WORTHWHILE = 0.7
"""Of a file; from here on the whole of it costs no more than its parts."""


@dataclass(frozen=True, slots=True)
class Need:
    """What an exposure needs of a file."""

    profile: SurveyProfile
    role: Role
    kind: Kind
    windows: Sequence[Window]
    """Rows and columns of the image that plays the role."""


class SourceCache:
    """Source files by path, size and ETag: in place when the store is a folder, else fetched once.

    Args:
        sources: where the files lie.
        folder: for those that are not on this machine.
        at_once: most files that are fetched into the folder side by side, by all processes.
    """

    def __init__(self, sources: Sources, folder: Path, at_once: int = DOWNLOADS_AT_ONCE) -> None:
        self._sources = sources
        self._folder = folder
        self._at_once = at_once

    @contextmanager
    def connections(self, files: Iterable[SourceFile]) -> Iterator[int]:
        """Tell the block how many of the files it may bring here at once, as soon as it may."""
        if any(self._is_far(file) for file in files):
            with lane(self._folder / "lanes", self._at_once) as width:
                yield width
        else:
            yield LANE_WIDTH

    def path(self, file: SourceFile) -> Path:
        """Return where the file or what is needed of it lies, whether it is there or not."""
        whole = self._whole_path(file)
        return self._part_path(file) if file.extents and not whole.is_file() else whole

    def holds(self, file: SourceFile) -> bool:
        """Tell whether the file, or what is needed of it, is on this machine."""
        path = self.path(file)
        if not is_part(path):
            return path.is_file()
        return not Part(path, file.size).absent((start, stop) for start, stop in file.extents)

    def fetch(self, file: SourceFile, *, verify_checksums: bool = True) -> SourceFile:
        """Bring the whole file here unless it is, and return it with its sha256 if it is fetched.

        Args:
            file: as it was looked up.
            verify_checksums: compare it with the sums that it states.

        Raises:
            MissingObjectError: if it has gone since it was looked up.
            ObjectChangedError: if it is not the file that was looked up.
            UnusablePathError: if it lies on a web server that refuses it by now.
            FitsRefusedError: if it is not a sound FITS file.
            OSError: if this machine cannot read or write it now.
        """
        check_size(file.size, Path(file.path).name)  # known before a byte is fetched
        path = self._whole_path(file)
        in_place = self._sources.local_path(file.path) is not None
        if in_place:
            self._check_in_place(file)
        elif not path.is_file() or path.stat().st_size != file.size:
            self._sources.save(file.path, file.size, file.etag, path)
        check_fits(path, verify_checksums=verify_checksums)
        if in_place:
            return SourceFile(file.path, file.etag, file.size)
        with path.open("rb") as stream:
            digest = file_digest(stream, "sha256").hexdigest()
        return SourceFile(file.path, file.etag, file.size, digest)

    def begin(self, file: SourceFile, *, verify_checksums: bool = True) -> SourceFile:
        """Bring the headers of a file here if its pixels may follow in parts, else the whole of it.

        Args:
            file: as it was looked up.
            verify_checksums: a file that states sums comes whole and is compared with them.

        Returns:
            the file, with extents if they are all that came.

        Raises:
            as `fetch`.
        """
        check_size(file.size, Path(file.path).name)
        hdus = None if self._comes_whole(file) else self._heads(file, verify_checksums)
        if hdus is None:
            return self.fetch(file, verify_checksums=verify_checksums)
        return SourceFile(file.path, file.etag, file.size, extents=_heads(hdus, file.size))

    def complete(
        self, file: SourceFile, needs: Sequence[Need], *, verify_checksums: bool = True
    ) -> SourceFile:
        """Bring the pixels that are needed of a file whose headers are here.

        Args:
            file: as `begin` returned it.
            needs: of all exposures; none: nobody knows, so it comes whole.
            verify_checksums: as for `begin`.

        Raises:
            as `fetch`.
        """
        part = Part(self._part_path(file), file.size)
        wanted = joined((*file.extents, *_extents(part.path, needs)), GAP_BYTES)
        if needs and sum(stop - start for start, stop in wanted) <= WORTHWHILE * file.size:
            try:
                self._bring(file, part, part.absent(wanted))
            except NoRangesError:
                return self.fetch(file, verify_checksums=verify_checksums)
            if all(_shows_value(part.path, need) for need in needs):
                return SourceFile(file.path, file.etag, file.size, extents=tuple(wanted))
        # where nothing that is needed has a value, the rest decides whether there is none
        return self.fetch(file, verify_checksums=verify_checksums)

    def _whole_path(self, file: SourceFile) -> Path:
        local = self._sources.local_path(file.path)
        return local or self._folder / digest_value([file.path, file.size, file.etag])

    def _part_path(self, file: SourceFile) -> Path:
        return self._whole_path(file).with_suffix(SUFFIX)

    def _check_in_place(self, file: SourceFile) -> None:
        found = self._sources.head(file.path)
        if found is None:
            raise MissingObjectError(f"no file {file.path}; restore it there")
        if (found.size, found.etag) != (file.size, file.etag):
            raise ObjectChangedError(f"{file.path} changed since it was looked up; collect again")

    def _is_far(self, file: SourceFile) -> bool:
        try:
            return self._sources.local_path(file.path) is None
        except UnusablePathError:  # it is refused when it is fetched
            return False

    def _comes_whole(self, file: SourceFile) -> bool:
        """Tell whether parts of the file are not worth while, or could be parts of another one."""
        here = self._sources.local_path(file.path) is not None or self._whole_path(file).is_file()
        return here or file.size <= SMALL_BYTES or not file.etag

    def _heads(self, file: SourceFile, verify_checksums: bool) -> list[Hdu] | None:  # noqa: FBT001 - of `begin`
        """Bring the headers of a file here and check them; None if the whole must come."""
        stream = self._stream(file, Part(self._part_path(file), file.size))
        try:
            if stream.read(2) == GZIP_MAGIC:
                return None
            hdus = check_hdus(stream, Path(file.path).name)
            if any(_needs_data(stream, hdu, verify_checksums) for hdu in hdus):
                return None
            check_promises(stream, hdus, verify_checksums=False)
        except NoRangesError:
            return None
        return hdus

    def _stream(self, file: SourceFile, part: Part) -> BinaryIO:
        def read_at(start: int, stop: int) -> bytes:
            ahead = min(max(stop, start + HEAD_BYTES), file.size)
            if not part.covers(start, stop):
                self._bring(file, part, part.absent([(start, ahead)]))
            return part.read(start, stop)

        return cast("BinaryIO", ByteStream(file.size, read_at))

    def _bring(self, file: SourceFile, part: Part, extents: Sequence[Extent]) -> None:
        get = self._sources.get_range
        if extents:
            part.add([(start, get(file.path, file.etag, start, stop)) for start, stop in extents])


def _needs_data(stream: BinaryIO, hdu: Hdu, verify_checksums: bool) -> bool:  # noqa: FBT001 - of `begin`
    """Tell whether a file can be judged, or its WCS be made, by all of its bytes only."""
    return (
        (verify_checksums and states_sums(hdu))
        or (hdu.is_image and hdu.bits == 64)
        or (hdu.is_compressed and has_packed_tiles(stream, hdu))
        or has_lookup_tables(Keywords(hdu.raw))
    )


def _extents(path: Path, needs: Sequence[Need]) -> list[Extent]:
    return [
        extent
        for need in needs
        for image in images_of(path, need.profile, need.role)
        for extent in _extents_of(image, need.windows)
    ]


def _heads(hdus: Sequence[Hdu], size: int) -> tuple[Extent, ...]:
    """Return the bytes that must be here for a file to be opened."""
    heads = [(hdu.start, hdu.data) for hdu in hdus]
    tables = [(hdu.data, hdu.data + table_bytes(hdu)) for hdu in hdus if hdu.is_compressed]
    after = hdus[-1].end, min(hdus[-1].end + BLOCK, size)  # where no further header begins
    return tuple(joined([*heads, *tables, after]))


def _extents_of(image: Image, windows: Sequence[Window]) -> list[Extent]:
    """Return the bytes of an image under some windows: full rows, or tiles."""
    if image.hdu.is_compressed:
        return tile_extents(image.opened.stream(), image.hdu, windows)
    row_bytes = image.shape[-1] * abs(image.hdu.bits) // 8
    start = image.hdu.data
    return [(start + r.start * row_bytes, start + r.stop * row_bytes) for r, _ in windows]


def _shows_value(path: Path, need: Need) -> bool:
    """Tell whether some pixel that is needed has a value."""
    try:
        pixels = read_frame(path, need.profile, need.role, need.kind).pixels
        return any(has_value(pixels[window], MISSING_ABOVE) for window in need.windows)
    except FitsRefusedError:  # the build meets it again, and gives the reason
        return True
