"""Networks that are hard to trace: they get a bound above the truth, or a reason."""

import copy
import math
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

import sngan.lipschitz as lip
from helpers.networks import Fn, jacobian_norm, quick, upper
from sngan.lipschitz import lipschitz_bounds


def renamed(x):
    h = 1.0 * x
    skip = h
    h *= 10
    return skip


def view_changed(x):
    h = x.clone()
    v = h[:, :2]
    v *= 10
    return h


def slice_changed(x):
    h = 1.0 * x
    h[:, :2] *= 10
    return h


def data_changed(x):
    h = 1.0 * x
    h.data.mul_(10)
    return h


def residual_changed(x, layer):
    h = 2.0 * x
    skip = h
    h *= 3
    return layer(h) + skip


def filled(x):
    made = torch.zeros(len(x), 5)
    made[:, :4] = x
    made[:, 4] = 7 * x[:, 0]
    return made


def constant_changed(x):
    scale = torch.ones(4)
    y = x * scale
    scale *= 10
    return y + scale * x


def assigned_twice(x):
    h = 1.0 * x
    part = h[:, 1:3]
    h[:, 2:] = 5 * x[:, :2]
    part += 1.0
    return part


def by_type(x):
    return 3 * x if isinstance(x, torch.Tensor) and type(x) is torch.Tensor else x


def by_length(x):
    try:
        return len(x) * 3 * x
    except TypeError:
        return x


def by_shape(x):
    assert x.shape[1] == 4
    rows, columns = x.shape
    return (3 * x).reshape(rows, columns)


def size(x):
    return 3 * x


torch.fx.wrap("size")
MASK = torch.tensor([True, False, True, False])
ONES = torch.ones(4, 4)

# a function, the shape of its input, and its exact constant
FOLLOWED = {
    "a name for what changes": (Fn(renamed), (4,), 10.0),
    "a view that changes": (Fn(view_changed), (4,), 10.0),
    "a slice that changes": (Fn(slice_changed), (4,), 10.0),
    "a change through data": (Fn(data_changed), (4,), 10.0),
    "zeros that are filled": (Fn(filled), (4,), math.sqrt(50)),
    "a constant that changes": (Fn(constant_changed), (4,), 11.0),
    "views that overlap": (Fn(assigned_twice), (4,), 5.0),
    "a branch on the type": (Fn(by_type), (4,), 3.0),
    "a branch on the length": (Fn(by_length), (4,), 3.0),
    "assertions on the shape": (Fn(by_shape), (4,), 3.0),
    "a wrapped function": (Fn(size), (4,), 3.0),
    "cat by keyword": (Fn(lambda x: torch.cat(tensors=[x, x], dim=1)), (4,), math.sqrt(2)),
    "stack by keyword": (Fn(lambda x: torch.stack(tensors=[x, x, x])), (4,), math.sqrt(3)),
    "add by keyword": (Fn(lambda x: torch.add(input=x, other=x, alpha=2)), (4,), 3.0),
    "mul by keyword": (Fn(lambda x: torch.mul(input=x, other=-3)), (4,), 3.0),
    "where by keyword": (
        Fn(lambda x: torch.where(condition=MASK, input=x, other=2 * x)), (4,), 2.0
    ),
    "where of a tensor": (Fn(lambda x: (3 * x).where(MASK, 2 * x)), (4,), 3.0),
    "maximum by keyword": (Fn(lambda x: torch.maximum(input=x, other=2 * x)), (4,), 2.0),
    "matmul by keyword": (Fn(lambda x: torch.matmul(input=x, other=ONES)), (4,), 4.0),
    "matrix from the left": (Fn(lambda x: ONES @ x), (4, 1), 4.0),
    "bmm by keyword": (Fn(lambda x: torch.bmm(input=x, mat2=ONES[None])), (4, 4), 4.0),
    "an output that is given": (
        Fn(lambda x: torch.add(x, x, out=torch.empty_like(x))), (4,), 2.0
    ),
    "max pool without a batch": (nn.MaxPool2d(3, 1), (8, 8), 3.0),
    "max pool, function, no batch": (Fn(lambda x: F.max_pool2d(x, 3, 1)), (8, 8), 3.0),
    "max pool in 1-D, no batch": (nn.MaxPool1d(3, 1), (8,), math.sqrt(3)),
    "max pool in 3-D, no batch": (nn.MaxPool3d(2, 1), (5, 5, 5), math.sqrt(8)),
    "adaptive max pool, no batch": (nn.AdaptiveMaxPool2d(3), (8, 8), 2.0),
    "average pool, no batch": (nn.AvgPool2d(2), (8, 8), 0.5),
    "parts that overlap": (
        Fn(lambda x: torch.cat(x.tensor_split((3, 1), 1), 1)), (4,), math.sqrt(2)
    ),
    "a stride of zero": (Fn(lambda x: x.as_strided((9,), (0,))), (4,), 3.0),
    "windows": (Fn(lambda x: x.unfold(1, 2, 1)), (4,), math.sqrt(2)),
    "an index that repeats": (
        Fn(lambda x: x.index_select(1, torch.tensor([0, 0, 0]))), (4,), math.sqrt(3)
    ),
    "gather": (Fn(lambda x: x.gather(1, torch.zeros(1, 4).long())), (4,), 2.0),
    "a cast": (Fn(lambda x: 2 * x.float().half()), (4,), 2.0),
    "a float32 constant": (Fn(lambda x: x @ ONES + ONES[0]), (4,), 4.0),
    "numpy's root": (Fn(lambda x: np.sqrt(2) * x), (4,), math.sqrt(2)),
    "numpy's float32": (Fn(lambda x: np.float32(2) * x), (4,), 2.0),
    "halves": (Fn(lambda x: torch.maximum(*x.chunk(2, 1))), (4,), 1.0),
    "sorted": (Fn(lambda x: x.sort(1).values), (4,), 1.0),
    "largest by place": (Fn(lambda x: x.max(1)[0]), (4,), 1.0),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLLOWED)
def test_the_bound_is_above_the_truth_and_not_far(name):
    module, shape, constant = FOLLOWED[name]
    bounds = quick(module, shape)
    assert constant * (1 - 1e-12) <= bounds.upper <= constant * 1.42
    assert bounds.lower <= constant * (1 + 1e-9)
    # a note says where autograd cannot differentiate the forward pass
    is_found = bounds.lower == pytest.approx(constant, rel=0.05)
    assert is_found or bounds.notes or "pool" in name


def test_a_residual_that_changes_in_place():
    layer = nn.Linear(4, 4, bias=False)
    exact = 6 * torch.linalg.matrix_norm(layer.weight + torch.eye(4), 2).item()
    assert exact <= upper(Fn(residual_changed, layer), (4,)) <= 6 * (1 + layer.weight.norm().item())


@pytest.mark.parametrize("output_size", [(9, 9), (10, 10)])
def test_a_transposed_convolution_of_an_output_size(output_size):
    layer = nn.ConvTranspose2d(1, 1, 3, stride=2, bias=False)
    bounds = quick(Fn(lambda x, f: f(x, output_size=output_size), layer), (1, 4, 4))
    matrix = torch.stack(
        [layer(unit.view(1, 1, 4, 4), output_size=output_size).flatten() for unit in torch.eye(16)]
    )
    assert bounds.upper == pytest.approx(torch.linalg.matrix_norm(matrix, 2).item(), rel=1e-2)


class Keeping(nn.Module):
    """A network that keeps its features in a dictionary and a list, behind a lock."""

    def __init__(self):
        super().__init__()
        self.layer, self.kept, self.all = nn.Linear(4, 4), {}, []
        self.lock = threading.Lock()

    def forward(self, x):
        with self.lock:
            self.kept["features"] = self.layer(input=x)
            self.all = [self.kept["features"]]
        return self.kept["features"].relu() + self.all[0]


class OfOneSample(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        (features,) = x.shape
        return self.layer(x.view(features))


def pruned():
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    prune.l1_unstructured(network[0], "weight", 0.5)
    network(torch.randn(2, 4)).sum().backward()
    return network


def watched():
    network, seen = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1)), []
    network[1].register_forward_hook(lambda _module, _inputs, output: seen.append(output.detach()))
    return network


def used():
    network = Keeping()
    network(torch.randn(2, 4))
    return network


WRITTEN = [Keeping, used, OfOneSample, pruned, watched, lambda: nn.DataParallel(watched())]


@pytest.mark.parametrize("make", WRITTEN)
def test_sound_networks_have_a_bound(make):
    bounds = quick(make(), (4,))
    assert 0.0 < bounds.lower <= bounds.upper < 4 * bounds.lower


def in_a_thread(x):
    found = []
    thread = threading.Thread(target=lambda: found.append(3 * x))
    thread.start()
    thread.join()
    return found[0]


@torch.jit.script
def scripted(x):
    return 3 * x


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x * self.calls


def with_numpy(x):
    y = 1.0 * x
    y.detach().numpy()[:] *= 10
    return y


def moved_data(x):
    y = 1.0 * x
    y.data = 5 * x
    return y


REFUSED = {
    "numpy": (with_numpy, "numpy takes values out"),
    "a branch": (lambda x: x if x.sum() > 0 else 5 * x, "__bool__ takes values out"),
    "item": (lambda x: x * (1 + max(x.sum().item() - 1e9, 0)), "item takes values out"),
    "tolist": (lambda x: torch.tensor(x.tolist()), "tolist takes values out"),
    "tensor of tensors": (lambda x: torch.tensor([x[0, 0], x[0, 1]]), "no known constant"),
    "text": (lambda x: x if len(str(x)) > 3 else 2 * x, "__repr__ takes values out"),
    "data that is set": (moved_data, "takes values out"),
    "a thread": (in_a_thread, "no visible operation has made"),
    "jit": (scripted, "runs where no torch function was called"),
    "chance": (lambda x: x * torch.rand(4), "also depend on something else"),
    "indices": (lambda x: x.max(1)[1].double(), "not real numbers"),
    "bits": (lambda x: x.view(torch.int64).double(), "real numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_untraceable_modules_are_refused(name):
    function, reason = REFUSED[name]
    bounds = lipschitz_bounds(Fn(function), (4,), lower=False)
    assert bounds.upper == math.inf
    assert reason in bounds.reasons[0]


def test_a_module_that_counts_its_calls_is_refused():
    assert "earlier calls" in lipschitz_bounds(Counting(), (4,), lower=False).reasons[0]


@pytest.mark.parametrize("factor", [1, 10])
def test_hooks_of_all_modules_are_seen(factor):
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    plain, calls = upper(network, (4,)), []

    def hook(module, _inputs, output):
        calls.append(module)
        return factor * output if isinstance(module, nn.ReLU) else None

    handle = nn.modules.module.register_module_forward_hook(hook)
    try:
        assert upper(network, (4,)) == pytest.approx(factor * plain)
    finally:
        handle.remove()
    assert calls


def test_rules_for_user_functions(monkeypatch):
    monkeypatch.setattr("sngan.lipschitz.registry.user_rules", {})

    def made(power):
        return lambda x: x.clamp(-1, 1) ** power

    cube, square = made(3), made(2)
    lip.register(cube, lambda function, shape: 3.0)
    assert upper(Fn(cube), (4,)) == 3.0
    # another function with the same code
    assert upper(Fn(square), (4,)) == math.inf
    lip.register(size, lambda function, shape: 4.0)
    bounds = quick(Fn(lambda x: size(x=size(x))), (4,))
    assert bounds.upper == pytest.approx(16.0)
    assert [layer.method for layer in bounds.layers] == ["registered", "registered"]


def test_a_constant_that_is_too_small_is_an_error(monkeypatch):
    monkeypatch.setattr("sngan.lipschitz.registry.user_rules", {})
    lip.register(nn.ReLU, lambda layer, shape: 0.5)
    with pytest.raises(lip.InconsistentBoundsError, match=r"found above the bound of 0\.5"):
        quick(nn.ReLU(), (4,))
    assert upper(nn.ReLU(), (4,)) == 0.5


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_are_on_inside(mode):
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    outside = quick(network, (4,)).to_dict()
    with mode():
        assert quick(copy.deepcopy(network), (4,)).to_dict() == outside


def test_the_module_is_left_alone():
    network = Keeping()
    before = dict(vars(network.layer))
    quick(network, (4,))
    assert network.kept == {}
    assert dict(vars(network.layer)).keys() == before.keys()
    assert jacobian_norm(network.layer, torch.zeros(4).double()) > 0
