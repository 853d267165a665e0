"""Sites that pull what a pulling plan gives to them, each block from its nearest holder."""

from trunkline.sites.document import Address, SitesMap, sites_from_document
from trunkline.sites.nearest import Nearest, as_listed, by_scenario
from trunkline.sites.pulling import SiteReport, pull_to_site

__all__ = [
    "Address",
    "Nearest",
    "SiteReport",
    "SitesMap",
    "as_listed",
    "by_scenario",
    "pull_to_site",
    "sites_from_document",
]
