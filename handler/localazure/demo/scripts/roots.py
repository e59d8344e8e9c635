import cmath
import math


def roots(a, b, c):
    """Return the solutions of a*x**2 + b*x + c = 0."""
    if a == 0:
        return [-c / b]
    discriminant = b * b - 4 * a * c
    root = math.sqrt(discriminant) if discriminant >= 0 else cmath.sqrt(discriminant)
    return sorted({(-b - root) / (2 * a), (-b + root) / (2 * a)}, key=lambda x: (x.real, x.imag))
