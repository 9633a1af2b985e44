import pytest
import torch


@pytest.fixture(autouse=True)
def _same_weights():
    """Networks that tests build have the same random weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
