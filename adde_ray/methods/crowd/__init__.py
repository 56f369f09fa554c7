"""What the decisions of several people add up to: labels, agreement, and where to look again.

Numbers only: tables and arrays in, tables, arrays and small records out.
"""

from adde_ray.methods.crowd.consensus import consensus
from adde_ray.methods.crowd.overview import overview

__all__ = ["consensus", "overview"]
