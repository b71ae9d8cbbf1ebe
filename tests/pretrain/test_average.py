import numpy as np
import pytest
import torch

from workflow_scripts.lib.pretrain.average import Average


def test_the_shadow_is_the_weighted_mean_of_the_formula():
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((20, 3, 2)).astype(np.float32)
    model = torch.nn.Linear(2, 3)
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(weights[0]))
    average = Average(model, 0.6)
    expected = weights[0].astype(np.float64)
    for step, now in enumerate(weights[1:]):
        with torch.no_grad():
            model.weight.copy_(torch.from_numpy(now))
        average.update(step)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * now
    np.testing.assert_allclose(average.shadow["weight"], expected, rtol=1e-5, atol=1e-6)
    # the start weighs what is left of it, and that is little
    assert np.prod([min(0.6, (1 + step) / (10 + step)) for step in range(19)]) < 1e-4


def test_the_network_gets_its_own_weights_back_to_the_last_bit():
    model = torch.nn.Sequential(torch.nn.Conv3d(2, 4, 3), torch.nn.BatchNorm3d(4)).to(
        memory_format=torch.channels_last_3d
    )
    average = Average(model, 0.9)
    assert set(average.shadow) == {"0.weight", "0.bias", "1.weight", "1.bias"}  # no running statistics
    assert average.shadow["0.weight"].stride() == model[0].weight.stride()
    for p in model.parameters():
        p.data.add_(torch.randn_like(p))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(KeyError), average.applied():
        assert torch.equal(model[0].weight, average.shadow["0.weight"])
        assert not torch.equal(model[0].weight, before["0.weight"])
        raise KeyError
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    average.put_in()
    assert all(torch.equal(p, average.shadow[name]) for name, p in model.named_parameters())
