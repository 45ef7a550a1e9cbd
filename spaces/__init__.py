"""What may vary: Recipe, the search space and its priors."""

from spaces.prior import Prior
from spaces.recipe import Quantization, Recipe, Targets
from spaces.space import Space, suggest

__all__ = ["Prior", "Quantization", "Recipe", "Space", "Targets", "suggest"]
