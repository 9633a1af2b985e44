import pytest
import torch


@pytest.fixture(autouse=True)
def _same_weights():
    """Networks that tests build have the same random weights each time; threads only slow such small ones down."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)
