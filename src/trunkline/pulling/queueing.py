"""The waiting time of the M/G/1 queue."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Queue:
    """One server, Poisson arrivals, any law of service times.

    Attributes:
        arrival_per_s: lambda, requests a second.
        service_per_s: mu, requests that the server completes a second while it is busy.
        sigma_s: standard deviation of a service time.
    """

    arrival_per_s: float
    service_per_s: float
    sigma_s: float = 0.0

    @property
    def wait_s(self) -> float:
        """The mean wait before service begins, in seconds (Pollaczek and Khinchine):

            W = lambda (sigma^2 + 1/mu^2) / (2 (1 - lambda/mu))

        Infinite where lambda >= mu: the queue has no steady state. 0 where nobody arrives.
        """
        if self.arrival_per_s <= 0:
            return 0.0
        if self.arrival_per_s >= self.service_per_s:
            return math.inf
        mean_s = 1 / self.service_per_s
        second_moment = self.sigma_s * self.sigma_s + mean_s * mean_s
        load = self.arrival_per_s / self.service_per_s
        return self.arrival_per_s * second_moment / (2 * (1 - load))
