"""Ultrasound's speckle: fully developed (Rayleigh) echoes of any grain, compounded, and their logarithmic compression.

The echo of many scatterers in a resolution cell is a circular complex Gaussian number, its amplitude a Rayleigh one
whatever the shape of the cell. Scanners average the power of a few looks (compounding). So two tissues whose grain
differs have the same distribution of grey values at each pixel: grain is a cue that no mean or variance can see.

References
----------
Burckhardt 1978, IEEE Trans Sonics Ultrason 25:1-6. Wagner et al. 1983, IEEE Trans Sonics Ultrason 30:156-163.
"""

import numpy as np
from scipy import fft, ndimage, special

LOOKS = 2  # compounded looks


def complex_speckle(
    shape: tuple[int, int],
    height: float,
    width: float,
    random: np.random.Generator,
    looks: int = LOOKS,
) -> np.ndarray:
    """Draw circular complex Gaussian fields of unit mean power.

    Parameters
    ----------
    shape : tuple of int
        Rows (depth) and columns of the field.
    height, width : float
        Standard deviations in pixels of the Gaussian resolution cell, along depth and along the probe.
    random : numpy.random.Generator
    looks : int
        Independent fields.

    Returns
    -------
    numpy.ndarray
        complex64, looks x rows x columns, mean of squared amplitudes 1 in expectation; borders fit each other.
    """
    white = random.standard_normal((2, looks, *shape), np.float32)
    rows = fft.fftfreq(shape[0])[:, None].astype(np.float32)
    columns = fft.fftfreq(shape[1])[None, :].astype(np.float32)
    transfer = np.exp(np.float32(-2 * np.pi**2) * ((width * columns) ** 2 + (height * rows) ** 2))
    transfer /= float(np.sqrt(2 * np.mean(transfer**2, dtype=float)))
    spectrum = fft.fft2(white[0] + 1j * white[1])
    return fft.ifft2(spectrum * transfer)


def mix(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Go over from one field to another without a change of power: weight 0 is ``first``, 1 ``second``."""
    return np.sqrt(1 - weight) * first + np.sqrt(weight) * second


def cell(size: float, log_ratio: float) -> tuple[float, float]:
    """Height and width of a resolution cell of geometric mean ``size`` (pixels) and log(width / height)."""
    return float(size * np.exp(-log_ratio / 2)), float(size * np.exp(log_ratio / 2))


def compress(field: np.ndarray, level_db: np.ndarray, range_db: float) -> np.ndarray:
    """Show a field on the logarithmic scale of an ultrasound scanner.

    Parameters
    ----------
    field : numpy.ndarray
        Complex looks x rows x columns, of unit power; the power of the looks is averaged.
    level_db : numpy.ndarray or float
        Backscatter in dB, 0 for white.
    range_db : float
        Decibels from black to white.

    Returns
    -------
    numpy.ndarray
        uint8.
    """
    power = np.mean(field.real**2 + field.imag**2, axis=0)
    decibels = 10 * np.log10(power + 1e-9) + level_db
    return np.clip(np.rint(255 * (1 + decibels / range_db)), 0, 255).astype(np.uint8)


def smooth_field(shape: tuple[int, int], height: float, width: float, random: np.random.Generator) -> np.ndarray:
    """Draw a smooth real Gaussian field of standard deviation 1, its scales in pixels; float32."""
    return 2**0.5 * complex_speckle(shape, height, width, random, looks=1)[0].real


def curve(length: int, amplitude: float, random: np.random.Generator, waves: int = 4) -> np.ndarray:
    """Draw a smooth curve of ``length`` points about 0, slower waves being higher; float32."""
    x = np.linspace(0, 1, length)
    total = np.zeros(length)
    for wave in range(1, waves + 1):
        total += random.normal(0, 1 / wave) * np.sin(np.pi * wave * (x + random.uniform(0, 2)))
    total *= amplitude / np.sqrt(sum(0.5 / wave**2 for wave in range(1, waves + 1)))
    return total.astype(np.float32)


def soft_step(distance: np.ndarray, softness: float) -> np.ndarray:
    """Return 0 far below 0, 1 far above, and the logistic curve between."""
    return special.expit(distance / softness)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth an image with a Gaussian of ``sigma`` pixels."""
    return ndimage.gaussian_filter(image, sigma)
