import math
import random


def estimate_pi(samples):
    """Throw points at a square and count those in the quarter circle."""
    rng = random.Random(42)
    inside = sum(rng.random() ** 2 + rng.random() ** 2 <= 1 for _ in range(samples))
    estimate = 4 * inside / samples
    print(f"{inside} of {samples} points are inside; off by {abs(estimate - math.pi):.6f}")
    return estimate
