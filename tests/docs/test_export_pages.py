"""The reference of exported files lists every keyword that is written, and no other."""

import re
from pathlib import Path
from typing import Any

from astrid_training.exports.cards import dataset_cards, sample_cards
from astrid_training.exports.sky import StampSky
from tests.astrid_training.exports.cut_files import cut_dataset

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "exports.md"


class Known(dict[str, Any]):
    """A row in which everything is known."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name) or default or 1.0


def test_every_keyword_of_a_header_is_on_the_page(tmp_path: Path) -> None:
    cut = cut_dataset(tmp_path / "store")
    row = Known(cut.samples.to_pylist()[0])
    row |= {name: "x" for name, value in row.items() if value is None}
    sky = StampSky("linear", 1.0, 1.0, 0.5, None)
    cards = [*sample_cards(row, "agn", sky, 0), *dataset_cards(cut.record)]
    section = PAGE.read_text(encoding="utf-8").split("\n## ")[1]
    listed = {
        name
        for cell in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        for name in re.findall(r"`([A-Z-]+)`", cell)
    }

    assert listed == {keyword for keyword, _, _ in cards}
