import random


def random_walk(steps):
    """Go so many steps of one up or down from 0, print the extremes, return the end."""
    rng = random.Random(42)
    position = lowest = highest = 0
    for _ in range(steps):
        position += rng.choice((-1, 1))
        lowest, highest = min(lowest, position), max(highest, position)
    print(f"{steps} steps; lowest {lowest}, highest {highest}")
    return position
