"""From a potential to what engines load."""

from mlip.deploy.calculator import MLIPCalculator
from mlip.deploy.deploy import deploy_potential
from mlip.deploy.potential import Potential

__all__ = ["MLIPCalculator", "Potential", "deploy_potential"]
