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


def gamma(key: Tensor, shape: Tensor, rounds: int = 12) -> Tensor:
    """Numbers of the gamma distribution of scale one.

    Each round of Marsaglia and Tsang accepts more than 95 of 100; all are drawn at once, so that nothing
    waits, and the first that is accepted counts.

    Source: Marsaglia & Tsang 2000 (10.1145/358407.358414).

    Args:
        key: int64 (R,).
        shape: (R,), at least one.
        rounds: Tries.

    Returns:
        float64 (R,).
    """
    d = (shape - 1.0 / 3.0).unsqueeze(1)
    x = normal(hashed(key, 1), rounds)
    v = (1.0 + x / (9.0 * d).sqrt()) ** 3
    bound = 0.5 * x.square() + d * (1.0 - v + v.clamp_min(1e-300).log())
    accepted = (v > 0.0) & (uniform(hashed(key, 2), rounds).log() < bound)
    first = accepted.to(torch.int8).argmax(dim=1, keepdim=True)
    return (d * v).gather(1, first).squeeze(1)


def _signed(number: int) -> int:
    """A whole number as 64 bits with a sign hold it."""
    return (number + 2**63) % 2**64 - 2**63


def _shifted(bits: Tensor, by: int) -> Tensor:
    """Shifted right, zeros coming in; torch's own shift repeats the sign."""
    return (bits >> by) & ((1 << (64 - by)) - 1)
