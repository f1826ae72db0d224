"""One dataset of cut stamps for all tests that only read it."""

import pytest

from tests.astrid_training.exports.cut_files import Cut, cut_dataset


@pytest.fixture(scope="session")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Cut:
    """See `cut_dataset`."""
    return cut_dataset(tmp_path_factory.mktemp("cut"))
