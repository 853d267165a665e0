"""Pictures of plans, runs and sharing; matplotlib is imported when one is drawn."""

from trunkline.pictures.sharing import draw_sharing
from trunkline.pictures.sites import Geography, draw_sites
from trunkline.pictures.timeline import Row, draw_timelines

__all__ = ["Geography", "Row", "draw_sharing", "draw_sites", "draw_timelines"]
