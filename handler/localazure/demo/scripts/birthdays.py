import random


def shared_birthday(people, trials):
    """Return in what share of trials two of the people share a birthday."""
    rng = random.Random(42)
    hits = sum(len({rng.randrange(365) for _ in range(people)}) < people for _ in range(trials))
    different = 1.0
    for n in range(people):
        different *= max(365 - n, 0) / 365
    print(f"{hits} of {trials} trials; the exact probability is {1 - different:.4f}")
    return hits / trials
