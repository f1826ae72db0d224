"""Each block passes the tests that Prefect has for blocks."""

from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite

from blocks import AstridDatabase, AstridStore, Notifier, TrackingServer, TrainingTarget


@pytest.mark.parametrize(
    "block", [AstridDatabase, AstridStore, Notifier, TrackingServer, TrainingTarget]
)
class TestEachBlock(BlockStandardTestSuite):
    @pytest.fixture
    def block(self, request: Any) -> type[Block]:
        kind: type[Block] = request.param
        return kind

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """Prefect's own fetches it from the web; a page of a closed server must not."""
        assert block._logo_url is None
