"""Pressures that theory gives for hard-particle mixtures: what simulations are checked against."""

from __future__ import annotations

import numpy as np

from glasslib.systems import System


def bmcsl(system: System, eta: float | np.ndarray) -> np.ndarray:
    r"""Pressure of a hard-sphere mixture, :math:`\beta P \sigma_A^3`.

    Boublík (1970) and Mansoori, Carnahan, Starling and Leland, J. Chem. Phys. 54, 1523 (1971):
    with :math:`\xi_k = \frac{\pi}{6} \sum_i \rho_i \sigma_i^k` and :math:`\xi_3 = \eta`,

    .. math::

        \frac{\pi}{6} \beta P = \frac{\xi_0}{1-\xi_3} + \frac{3 \xi_1 \xi_2}{(1-\xi_3)^2}
        + \frac{\xi_2^3 (3-\xi_3)}{(1-\xi_3)^3}.

    A fit to the stable fluid; in the metastable one (:math:`\eta > 0.55`) good to some per cent.

    Parameters
    ----------
    system : System
        Three-dimensional and hard.
    eta : float or array
        Packing fractions, between 0 and 1.

    Returns
    -------
    float64, shape of ``eta``
    """
    sigma, fraction, eta = _mixture(system, eta, dimensions=3)
    rho = eta / (np.pi / 6 * np.sum(fraction * sigma**3))
    x0, x1, x2 = (np.pi / 6 * rho * np.sum(fraction * sigma**k) for k in range(3))
    void = 1 - eta
    return 6 / np.pi * (x0 / void + 3 * x1 * x2 / void**2 + x2**3 * (3 - eta) / void**3)


def binary_disks(system: System, eta: float | np.ndarray) -> np.ndarray:
    r"""Pressure of a hard-disk mixture, :math:`\beta P \sigma_A^2`.

    One component by Luding, Phys. Rev. E 63, 042201 (2001), a correction of Henderson's formula,
    right to a few tenths of a per cent up to freezing (η = 0.7); mixtures from it by the rule of
    Santos, Yuste and López de Haro, Mol. Phys. 96, 1 (1999):

    .. math::

        Z_s = \frac{1 + \eta^2/8}{(1-\eta)^2} - \frac{\eta^4}{64 (1-\eta)^4}, \qquad
        Z = (1 - \xi) \frac{1}{1-\eta} + \xi Z_s(\eta),
        \qquad \xi = \langle\sigma\rangle^2 / \langle\sigma^2\rangle.

    Parameters
    ----------
    system : System
        Two-dimensional and hard.
    eta : float or array
        Packing fractions, up to about 0.68.

    Returns
    -------
    float64, shape of ``eta``
    """
    sigma, fraction, eta = _mixture(system, eta, dimensions=2)
    square = np.sum(fraction * sigma**2)
    rho = eta / (np.pi / 4 * square)
    single = (1 + eta**2 / 8) / (1 - eta) ** 2 - eta**4 / (64 * (1 - eta) ** 4)
    xi = np.sum(fraction * sigma) ** 2 / square
    return rho * ((1 - xi) / (1 - eta) + xi * single)


def _mixture(system: System, eta: float | np.ndarray, *, dimensions: int):
    if not system.hard or system.dimensions != dimensions:
        raise ValueError(
            f"system {system.name!r} is {system.dimensions}D and "
            f"{'hard' if system.hard else 'soft'}; expected hard particles in {dimensions}D."
        )
    eta = np.asarray(eta, dtype=float)
    if not np.all((eta > 0) & (eta < 1)):
        raise ValueError(f"eta is {eta}; expected packing fractions between 0 and 1.")
    sigma = np.array([system.diameters[t] for t in system.types])
    return sigma, np.array(system.composition), eta
