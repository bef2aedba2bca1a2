"""Learning rates at chosen steps; schedule-free AdamW against its definition in numbers."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mlip.errors import ConfigError
from train.module import ForceFieldModule
from train.optimizers import Adam, ScheduleFree
from train.schedule_free import ScheduleFreeAdamW, ScheduleFreeAverage

STEPS_PER_EPOCH = 10


def factors(optimizer, max_epochs=12):
    """The learning rate's factor of a step, counted from 0."""
    module = ForceFieldModule(torch.nn.Linear(1, 1), None, optimizer, STEPS_PER_EPOCH)
    module.trainer = SimpleNamespace(max_epochs=max_epochs)
    return module._lr_factor


def test_the_learning_rate_of_adam_warms_up_and_decays_to_zero():
    factor = factors(Adam(lr=0.02, warmup_epochs=2.0, decay_fraction=1.0))
    assert factor(0) == pytest.approx(0.05)
    assert factor(9) == pytest.approx(0.5)
    assert factor(19) == pytest.approx(1.0)
    assert factor(19 + 50) == pytest.approx(0.5)
    assert factor(119) == pytest.approx(0.0)
    assert factor(500) == pytest.approx(0.0)


def test_the_learning_rate_of_adam_may_stay_before_it_decays():
    factor = factors(Adam(warmup_epochs=2.0, decay_fraction=0.3))  # falls over the last 3 of 12 epochs
    assert [factor(step) for step in (9, 19, 50, 89)] == pytest.approx([0.5, 1.0, 1.0, 1.0])
    assert factor(89 + 15) == pytest.approx(0.5)
    assert factor(89 + 10) == pytest.approx(0.75)
    assert factor(119) == pytest.approx(0.0)


def test_the_learning_rate_of_schedule_free_stays_after_the_warm_up():
    factor = factors(ScheduleFree(warmup_epochs=2.0))
    assert factor(0) == pytest.approx(0.05)
    assert factor(9) == pytest.approx(0.5)
    assert [factor(step) for step in (19, 20, 119, 500)] == [1.0] * 4
    assert factors(ScheduleFree(warmup_epochs=0.0))(0) == 1.0


def gradient(y):
    """Of a skew quartic, so that no direction is like another."""
    return np.array([3.0, 0.1]) * y + np.array([0.5, 2.0]) * y**3 + np.array([0.2, -0.7])


def schedule_free_by_definition(y, rates, beta_1, beta_2, weight_decay):
    """Algorithm 1 of the paper with a growing learning rate, number by number."""
    x, z, mean_square = y.copy(), y.copy(), np.zeros_like(y)
    weights = []
    for step, rate in enumerate(rates, start=1):
        g = gradient(y)
        mean_square = beta_2 * mean_square + (1 - beta_2) * g**2
        corrected = mean_square / (1 - beta_2**step)
        z = z - rate * (g / (np.sqrt(corrected) + 1e-8) + weight_decay * y)
        weights.append(max(rates[:step]) ** 2)
        x = x + weights[-1] / sum(weights) * (z - x)
        y = (1 - beta_1) * z + beta_1 * x
    return x, y


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_schedule_free_steps_are_those_of_the_paper(weight_decay):
    start, rates = np.array([1.0, -2.0]), [0.02, 0.05, 0.1, 0.1, 0.03, 0.1, 0.1]
    parameter = torch.nn.Parameter(torch.tensor(start))
    optimizer = ScheduleFreeAdamW([parameter], 0.1, beta_1=0.8, beta_2=0.99, weight_decay=weight_decay)
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        parameter.grad = torch.tensor(gradient(parameter.detach().numpy()))
        optimizer.step()
    x, y = schedule_free_by_definition(start, rates, 0.8, 0.99, weight_decay)
    np.testing.assert_allclose(parameter.detach().numpy(), y, rtol=1e-12)
    np.testing.assert_allclose(optimizer.state[parameter]["x"].numpy(), x, rtol=1e-12)


def test_what_is_kept_of_schedule_free_is_its_average():
    module = ForceFieldModule(
        torch.nn.Linear(3, 1, dtype=torch.float64), None, ScheduleFree(), STEPS_PER_EPOCH
    )
    module.force_field.bias.requires_grad_(False)
    optimizer = module.optimizer.build(module.parameters())
    average = module.optimizer.average(ema_decay=0.5)
    assert isinstance(average, ScheduleFreeAverage)
    average.setup(None, module, "fit")
    for step in range(3):
        optimizer.zero_grad()
        module.force_field(torch.ones(1, 3, dtype=torch.float64)).square().sum().backward()
        optimizer.step()
        average.on_train_batch_end(SimpleNamespace(optimizers=[optimizer]), module, None, None, step)
    weight, bias = module.force_field.weight, module.force_field.bias.detach().clone()
    expected = optimizer.state[weight]["x"].clone()
    assert not torch.equal(expected, weight)
    average.on_train_end(None, module)
    assert torch.equal(weight, expected)
    assert torch.equal(module.force_field.bias, bias)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (Adam, {"lr": 0.0}, "lr > 0"),
        (Adam, {"warmup_epochs": -1.0}, "warmup_epochs >= 0"),
        (Adam, {"decay_fraction": 0.0}, r"optimizer\.decay_fraction=0\.0"),
        (Adam, {"decay_fraction": 1.1}, r"optimizer\.decay_fraction=1\.1"),
        (ScheduleFree, {"lr": -0.1}, "lr > 0"),
        (ScheduleFree, {"weight_decay": -0.1}, "weight_decay >= 0"),
        (ScheduleFree, {"beta_1": 1.0}, r"optimizer\.beta_1=1\.0"),
    ],
)
def test_numbers_out_of_range_are_refused(kind, settings, message):
    with pytest.raises(ConfigError, match=message):
        kind(**settings)
