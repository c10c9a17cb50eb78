"""Exact moments of the chains that a ``GaussianProcess`` walks, written a second time.

A guided score of Gaussians is linear in x, so each step is x ↦ A x + b + s z, every x_j is
Gaussian, and so is the joint law of a whole walk. Nothing here is taken from ``conjure`` but the
noise levels.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch


def guided(process, text, sigma):
    """(E, e) with the guided ε = E x − e at noise level σ."""
    total, offset = 0.0, 0.0
    for name, share in ((text, process.guidance), ("", 1 - process.guidance)):
        if share == 0:
            continue
        mean, covariance = (t.double().numpy() for t in process.components[name])
        slope = share * sigma * np.linalg.inv(covariance + sigma**2 * np.eye(len(mean)))
        total, offset = total + slope, offset + slope @ mean
    return total, offset


def maps(process, text):
    """(A, b, s) of each step, from the samplers' own definitions."""
    found = []
    for now, then in itertools.pairwise(process.schedule.sigmas):
        slope, offset = guided(process, text, now)
        variance = {
            "euler": 0.0,
            "euler-maruyama": now**2 - then**2,
            "euler-ancestral": then**2 * (now**2 - then**2) / now**2,
        }[process.sampler]
        pull = then - now if process.sampler == "euler" else -(now**2 - then**2) / now
        found.append((np.eye(len(slope)) + pull * slope, -pull * offset, variance**0.5))
    return found


def start(process):
    """Size and standard deviation of the noise x_T/α that a walk begins with."""
    return process.latent_shape[0], getattr(process, "start", process.schedule.sigmas[0])


def moments(process, text):
    """(mean, covariance) of x_0 … x_T: T + 1 pairs."""
    size, sigma = start(process)
    found = [(np.zeros(size), sigma**2 * np.eye(size))]
    for slope, offset, noise in maps(process, text):
        mean, covariance = found[-1]
        covariance = slope @ covariance @ slope.T + noise**2 * np.eye(size)
        found.append((slope @ mean + offset, covariance))
    return found


def joint(process, text, states):
    """Mean and covariance of the first ``states`` states of a walk together."""
    size, sigma = start(process)
    means, rows = [np.zeros(size)], [np.eye(size, size * states) * sigma]
    for j, (slope, offset, noise) in enumerate(maps(process, text)[: states - 1]):
        means.append(slope @ means[-1] + offset)
        own = np.eye(size, size * states, size * (j + 1)) * noise
        rows.append(slope @ rows[-1] + own)
    root = np.concatenate(rows)
    return torch.from_numpy(np.concatenate(means)), torch.from_numpy(root @ root.T)


def expected_terms(process, on, other):
    """E‖ε_on − ε_other‖² at each step on one prompt's trajectory, guided: (1, T)."""
    found = []
    sigmas = process.schedule.sigmas[:-1]
    for sigma, (mean, covariance) in zip(sigmas, moments(process, on), strict=False):
        (one, first), (two, second) = (guided(process, text, sigma) for text in (on, other))
        slope, offset = one - two, first - second
        found.append(((slope @ mean - offset) ** 2).sum() + np.trace(slope @ covariance @ slope.T))
    return torch.tensor([found], dtype=torch.float64)
