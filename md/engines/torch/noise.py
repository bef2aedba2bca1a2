"""Random numbers that are a function of seed, system, step and atom: no state, and alike in any batch.

A restart needs no generator, and a system moves alike alone and in any batch. The hash is the finalizer of
SplitMix64, applied to a key and a counter.

Source: Steele, Lea & Flood, OOPSLA 2014 (10.1145/2660193.2660195); Salmon et al., SC 2011
(10.1145/2063384.2063405) for counters in place of state.
"""

import math

import torch
from torch import Tensor

# The constants of the algorithm, as torch has them: with a sign.
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_MIX = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)
_SHIFTS = (30, 27)


def hashed(key: Tensor, counter: Tensor | int) -> Tensor:
    """A new key for each counter.

    Args:
        key: int64.
        counter: int64, broadcast against `key`.
    """
    mixed = key + (_signed((counter + 1) * _GOLDEN) if isinstance(counter, int) else (counter + 1) * _GOLDEN)
    for shift, factor in zip(_SHIFTS, _MIX, strict=True):
        mixed = (mixed ^ _shifted(mixed, shift)) * factor
    return mixed ^ _shifted(mixed, 31)


def uniform(key: Tensor, count: int) -> Tensor:
    """Numbers between 0 and 1, neither included.

    Args:
        key: int64 (R,).
        count: C, how many for each key.

    Returns:
        float64 (R, C).
    """
    counters = torch.arange(count, device=key.device)
    bits = _shifted(hashed(key.unsqueeze(1), counters), 11)
    return (bits.double() + 0.5) * 2.0**-53


def normal(key: Tensor, count: int) -> Tensor:
    """Numbers of the standard normal distribution, by Box and Muller.

    Args:
        key: int64 (R,).
        count: C, how many for each key.

    Returns:
        float64 (R, C).
    """
    pairs = (count + 1) // 2
    first, second = uniform(key, 2 * pairs).view(-1, 2, pairs).unbind(1)
    radius, angle = (-2.0 * first.log()).sqrt(), 2.0 * math.pi * second
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :count]


def _signed(number: int) -> int:
    """A whole number as 64 bits with a sign hold it."""
    return (number + 2**63) % 2**64 - 2**63


def _shifted(bits: Tensor, by: int) -> Tensor:
    """Shifted right, zeros coming in; torch's own shift repeats the sign."""
    return (bits >> by) & ((1 << (64 - by)) - 1)
