import random


def flip_coins(times):
    """Flip a coin so many times, print what came, return the share of heads."""
    rng = random.Random(42)
    flips = [rng.choice(("heads", "tails")) for _ in range(times)]
    if times <= 10:
        print("flipped:", *flips)
    print("heads:", flips.count("heads"), " tails:", flips.count("tails"))
    return flips.count("heads") / times
