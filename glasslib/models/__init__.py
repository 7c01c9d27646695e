"""What learns: estimators with scikit-learn's manners, imported when first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glasslib.models.autoencoder import Autoencoder as Autoencoder
    from glasslib.models.autoencoder import OrderParameter as OrderParameter
    from glasslib.models.graphsage import GraphSAGE as GraphSAGE
    from glasslib.models.interaction_network import InteractionNetwork as InteractionNetwork
    from glasslib.models.ridge import PropensityRidge as PropensityRidge

_HOMES = {
    "Autoencoder": "glasslib.models.autoencoder",
    "GraphSAGE": "glasslib.models.graphsage",
    "InteractionNetwork": "glasslib.models.interaction_network",
    "OrderParameter": "glasslib.models.autoencoder",
    "PropensityRidge": "glasslib.models.ridge",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
