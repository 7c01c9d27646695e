"""Equations of state against published values and limits."""

import numpy as np
import pytest

from glasslib import equations_of_state as eos
from glasslib import systems

SPHERES = systems.get("hard-spheres")
DISKS = systems.get("hard-disks")


@pytest.mark.parametrize(
    ("eta", "pressure"), [(0.54, 23.99), (0.56, 28.82), (0.57, 31.64), (0.58, 34.78)]
)
def test_bmcsl_of_the_binary_mixture(eta, pressure):
    assert eos.bmcsl(SPHERES, eta) == pytest.approx(pressure, abs=0.006)


def test_one_component_is_carnahan_starling():
    single = SPHERES.with_(diameters={"A": 1.0, "B": 1.0})
    eta = np.array([0.1, 0.3, 0.49])
    z = (1 + eta + eta**2 - eta**3) / (1 - eta) ** 3
    assert eos.bmcsl(single, eta) == pytest.approx(z * eta * 6 / np.pi)


def test_dilute_disks_have_the_second_virial_coefficient():
    sigma = np.array(list(DISKS.diameters.values()))
    eta = 1e-4
    rho = eta / (np.pi / 4 * np.mean(sigma**2))
    b2 = np.pi / 2 * np.mean((sigma[:, None] + sigma) ** 2) / 4  # equal numbers
    assert (eos.binary_disks(DISKS, eta) / rho - 1) / rho == pytest.approx(b2, rel=1e-3)


def test_equal_disks_follow_their_virial_series():
    """Coefficients of Clisby and McCoy, J. Stat. Phys. 122, 15 (2006), as powers of η."""
    single = DISKS.with_(diameters={"A": 1.0, "B": 1.0})
    b = [1, 2, 3.128018, 4.257855, 5.336897, 6.362963, 7.351859, 8.319104, 9.272141, 10.216294]
    for eta, rel in ((0.1, 1e-4), (0.3, 1e-3), (0.45, 2e-3)):
        z = sum(value * eta**n for n, value in enumerate(b))
        z += sum((10.216294 + 0.94 * (n - 9)) * eta**n for n in range(10, 60))
        assert eos.binary_disks(single, eta) == pytest.approx(z * eta * 4 / np.pi, rel=rel)


@pytest.mark.parametrize(
    ("function", "system", "eta", "message"),
    [
        (eos.bmcsl, DISKS, 0.5, "expected hard particles in 3D"),
        (eos.binary_disks, SPHERES, 0.5, "expected hard particles in 2D"),
        (eos.bmcsl, systems.get("kob-andersen"), 0.5, "soft"),
        (eos.bmcsl, SPHERES, 1.2, "between 0 and 1"),
    ],
)
def test_refuses(function, system, eta, message):
    with pytest.raises(ValueError, match=message):
        function(system, eta)
