"""The request that the project was made for, as it was written down, in a notebook's process."""

from typing import Any

import pytest

from astrid_training.simulate import SkyPlan
from deployments.simulated import simulate_sky
from tests.deployments.small_survey import python, quiet

pytestmark = pytest.mark.slow

REQUEST = """
from datetime import datetime

from torch.utils.data import DataLoader

from flows import load_real_training_data

collection_params = {
    'survey_ids': ['hst', 'jwst'],
    'date_range': (datetime(2024, 1, 1), datetime(2024, 12, 31)),
    'confidence_threshold': 0.7,
    'anomaly_types': ['supernova', 'asteroid', 'variable_star'],
    'quality_score_threshold': 0.8,
    'max_samples': 5000,
    'name': 'hst_jwst_2024_anomalies',
}

train_dataset, val_dataset, test_dataset = load_real_training_data(
    collection_params=collection_params
)
splits = (train_dataset, val_dataset, test_dataset)
loaders = (DataLoader(one, batch_size=64, num_workers=2) for one in splits)
seen = [key for loader in loaders for batch in loader for key in batch.key]
again = load_real_training_data(dataset_id='hst_jwst_2024_anomalies')
print('SPLITS', *map(len, splits), len(set(seen)), *map(len, again))
"""


def test_it_gives_three_datasets_that_torch_loads(ready: Any) -> None:
    for name in ("hst", "jwst"):
        simulate_sky(ready.settings, SkyPlan().named(name), quiet)

    ran = python(ready, REQUEST)

    assert ran.returncode == 0, ran.stderr
    (line,) = (one for one in ran.stdout.splitlines() if one.startswith("SPLITS "))
    train, val, test, seen, *again = map(int, line.split()[1:])
    assert min(val, test) > 50
    assert train > val + test
    assert seen == train + val + test
    assert again == [train, val, test]
