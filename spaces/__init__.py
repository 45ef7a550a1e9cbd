"""What may vary: Recipe, the search space and its priors."""

from spaces.axis import Axis
from spaces.prior import Prior
from spaces.recipe import Quantization, Recipe, Targets
from spaces.space import Space, suggest

__all__ = ["Axis", "Prior", "Quantization", "Recipe", "Space", "Targets", "suggest"]
