"""State of SpectralNorm: saved, loaded, removed, and taken over from torch's normalization."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm as torch_spectral_norm
from torch.nn.utils.spectral_norm import spectral_norm as torch_spectral_norm_hook

from helpers.critics import NORMED, assert_identical, make_critic, make_inputs
from sngan import SpectralNorm


def test_state_dict_round_trip_continues_bit_for_bit():
    inputs = make_inputs(8)

    def build(seed):
        critic = make_critic(seed)
        optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
        return critic, optimizer, SpectralNorm(critic, optimizer)

    def advance(critic, optimizer, batches):
        for x in batches:
            optimizer.zero_grad()
            critic(x).sum().backward()
            optimizer.step()

    critic, optimizer, sn = build(0)
    advance(critic, optimizer, inputs[:4])
    saved = pickle.dumps([part.state_dict() for part in (critic, optimizer, sn)])
    advance(critic, optimizer, inputs[4:])

    other, other_optimizer, other_sn = build(1)
    for part, state in zip((other, other_optimizer, other_sn), pickle.loads(saved), strict=True):
        part.load_state_dict(state)
    advance(other, other_optimizer, inputs[4:])
    for ours, theirs in zip(critic.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert all(torch.equal(sn.sigmas()[k], other_sn.sigmas()[k]) for k in NORMED)


def test_the_module_is_an_ordinary_network():
    critic = make_critic()
    names = list(critic.state_dict())
    optimizer = torch.optim.Adam(critic.parameters())
    SpectralNorm(critic, optimizer)
    x = make_inputs(1)[0]
    assert list(critic.state_dict()) == names
    assert torch.equal(copy.deepcopy(critic)(x), critic(x))
    assert torch.equal(pickle.loads(pickle.dumps(critic))(x), critic(x))


@pytest.mark.parametrize("copier", [copy.deepcopy, pickle.dumps])
def test_copies_of_the_hooks_are_refused(copier):
    layer = nn.Linear(2, 2)
    sn = SpectralNorm(layer, torch.optim.SGD(layer.parameters(), lr=0.1))
    with pytest.raises(TypeError, match="state_dict"):
        copier(sn)


def test_remove_leaves_plain_normalized_weights():
    layer = nn.Linear(3, 3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.0, weight_decay=0.0)
    sn = SpectralNorm(layer, optimizer)
    weight = layer.weight.clone()
    sn.remove()
    optimizer.param_groups[0]["lr"] = 0.1
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    torch.testing.assert_close(layer.weight, weight - 0.1)
    SpectralNorm(layer, optimizer)


@pytest.mark.parametrize("wrap", [torch_spectral_norm, torch_spectral_norm_hook])
def test_networks_with_torchs_normalization_continue(wrap):
    critic = make_critic()
    for name in NORMED:
        wrap(critic.get_submodule(name))
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    inputs = make_inputs(4)
    for x in inputs:
        optimizer.zero_grad()
        critic(x).sum().backward()
        optimizer.step()
    with torch.no_grad():
        critic(inputs[0])
    expected = critic.eval()(inputs[0]).detach()
    sn = SpectralNorm.from_parametrized(critic, optimizer)
    assert set(sn.sigmas()) == set(NORMED)
    assert not any(
        "orig" in n or "parametriz" in n or n.endswith("_u") for n in critic.state_dict()
    )
    torch.testing.assert_close(critic(inputs[0]), expected, rtol=0, atol=1e-12)
    optimizer.zero_grad()
    critic(inputs[1]).sum().backward()
    before = critic.head.weight.clone()
    optimizer.step()
    assert not torch.equal(critic.head.weight, before)
    assert set(critic.state_dict()) == set(make_critic().state_dict())


@pytest.mark.parametrize("change", ["layers", "shape", "coefficient"])
def test_foreign_state_is_refused(change):
    layer = nn.Linear(2, 3)
    sn = SpectralNorm(layer, torch.optim.SGD(layer.parameters(), lr=0.1))
    state = copy.deepcopy(sn.state_dict())
    if change == "layers":
        state["layers"]["other"] = state["layers"].pop("")
    elif change == "shape":
        state["layers"][""]["u"] = torch.ones(5)
    else:
        state["coefficient"] = 2.0
    before = sn.state_dict()
    with pytest.raises(ValueError, match="state: expected"):
        sn.load_state_dict(state)
    assert_identical(before, sn.state_dict())
