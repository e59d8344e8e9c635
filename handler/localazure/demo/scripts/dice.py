import random
from collections import Counter


def roll_dice(dice, sides, times):
    """Roll the dice so many times, print how often each total came, return the mean."""
    rng = random.Random(42)
    totals = [sum(rng.randint(1, sides) for _ in range(dice)) for _ in range(times)]
    if times == 1:
        return totals[0]
    if times <= 10:
        print("rolled:", *totals)
    else:
        for total, seen in sorted(Counter(totals).items()):
            print(f"{total:4}: {seen:6}  {seen / times:6.1%}")
    return sum(totals) / times
