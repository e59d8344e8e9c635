package demo

import (
	"strings"
	"testing"
)

// Each skill, by the code that it writes. Where a script defines functions
// first, only the last line is compared.
func TestSkills(t *testing.T) {
	for _, test := range []struct{ message, want string }{
		// the caller's own code
		{"```python\nprint(1)\n  \n```", "print(1)\n  "},
		{"Please run this:\n```\nx = 5\nx * 2\n```\nthanks", "x = 5\nx * 2"},
		{"run: print(1)", "print(1)"},
		{"can you run this code: print(1)", "print(1)"},
		{"run `f(1)`", "f(1)"},
		{"run print(1)", "print(1)"},
		{"print('a b')", "print('a b')"},
		{"import math\nmath.pi", "import math\nmath.pi"},
		{"x = 1\ny = 2\nprint(x + y)", "x = 1\ny = 2\nprint(x + y)"},
		// files
		{"write 'hello world' to file.txt", `Path("/mnt/data/file.txt").write_text("hello world", encoding="utf-8")`},
		{"save \"a\nb\" as /mnt/data/data.csv", `Path("/mnt/data/data.csv").write_text("a\nb", encoding="utf-8")`},
		{"create a file n.txt containing hello", `Path("/mnt/data/n.txt").write_text("hello", encoding="utf-8")`},
		{"read file.txt", `print(Path("/mnt/data/file.txt").read_text(encoding="utf-8"))`},
		{"list files", `sorted(path.name for path in Path("/mnt/data").iterdir())`},
		// variables
		{"let x = 12", "x = 12\nx"},
		{"set x to 41 in Python", "x = 41\nx"},
		{"remember that total is 2 * 3", "total = 2 * 3\ntotal"},
		{"store 7 in q", "q = 7\nq"},
		{"let data = [3, 5, 8]", "data = [3, 5, 8]\ndata"},
		{"let name = 'Ann'", "name = \"Ann\"\nname"},
		{"let p = the first 10 primes", "p"},
		{"let x = 12 and y = 5; what is x * y", "x = 12\ny = 5\nx * y"},
		{"what is 12 * 12, then double it", "result = 12 * 12\n2 * result"},
		// plots
		{"plot sin(x) from 0 to 10", `draw(sample(lambda x: math.sin(x), 0, 10), "math.sin(x)")`},
		{"draw y = x^2 + 2x between -pi and 2*pi", `draw(sample(lambda x: x**2 + 2 * x, -math.pi, 2 * math.pi), "x**2 + 2 * x")`},
		{"plot a sine wave", `draw(sample(lambda x: math.sin(x), -10, 10), "math.sin(x)")`},
		{"chart 3, 5, 8", `draw(list(enumerate([3, 5, 8], 1)), "3, 5, 8")`},
		// simulations
		{"simulate rolling 2 dice 1,000 times", "roll_dice(2, 6, 1000)"},
		{"roll 3d20", "roll_dice(3, 20, 1)"},
		{"flip a coin 100 times", "flip_coins(100)"},
		{"flip 3 coins 50 times", "flip_coins(3 * 50)"},
		{"simulate a random walk of 500 steps", "random_walk(500)"},
		{"estimate pi with a million samples", "estimate_pi(1000000)"},
		{"simulate the birthday paradox with 30 people", "shared_birthday(30, 10000)"},
		{"generate 5 random numbers between 1 and 6", "[rng.randint(1, 6) for _ in range(5)]"},
		// numbers
		{"list the primes below 100", "primes_below(100)"},
		{"how many primes are there up to 100?", "len(primes_below(100 + 1))"},
		{"find the first ten prime numbers", "first_primes(10)"},
		{"what is the 100th prime", "first_primes(100)[-1]"},
		{"is 97 a prime number?", "prime_factors(97) == [97]"},
		{"factorize 360", "prime_factors(360)"},
		{"compute fibonacci 20", "next(islice(fibonacci(), 20, None))"},
		{"the 10th fibonacci number", "next(islice(fibonacci(), 10, None))"},
		{"first 10 fibonacci numbers", "list(islice(fibonacci(), 10))"},
		{"sum of the even numbers from 1 to 100", "sum(n for n in range(1, 100 + 1) if n % 2 == 0)"},
		{"sum of the first 10 squares", "sum(n**2 for n in range(1, 10 + 1))"},
		{"print the first 5 odd numbers", "list(range(1, 2 * 5, 2))"},
		{"count to 3: from 1 to 3", ""},
		{"solve x^2 - 5x + 6 = 0", "roots(1, -5, 6)"},
		{"solve the equation 2x² = x + 3 for x", "roots(2, -1, -3)"},
		{"solve 3x + 2 = 11", "roots(0, 3, 2 - 11)"},
		{"solve x*y = 2", ""},
		{"compound interest on $1,000 at 5% for 10 years, monthly", "round(1000 * (1 + 5 / 100 / 12) ** (12 * 10), 2)"},
		// statistics
		{"mean of 3, 4 and 5", "statistics.mean(values)"},
		{"sort 5 3 9 in descending order", "sorted(values, reverse=True)"},
		{"mean and median of [1, -2, 3.5]", `{"mean": statistics.mean(values), "median": statistics.median(values)}`},
		// texts
		{"count the words in 'the quick brown fox'", `len("the quick brown fox".split())`},
		{"how many characters are in: añb", `len("añb")`},
		{"reverse “grün”", `"grün"[::-1]`},
		// dates
		{"days between 2024-01-01 and 25 December 2024", "abs(date(2024, 12, 25) - date(2024, 1, 1)).days"},
		{"how many days until 2030-02-30?", "abs(date.today() - date(2030, 2, 30)).days"},
		{"what day of the week is July 4th, 1776", `(date(1776, 7, 4)).strftime("%A")`},
		{"what is the date 30 days after 2024-01-01", "str(date(2024, 1, 1) + timedelta(days=30))"},
		{"what's today's date?", `datetime.now().strftime("%A, %d %B %Y, %H:%M")`},
		// units
		{"convert 10 km to miles", "round(10 * 1000 / 1609.344, 6)"},
		{"-40 °C in Fahrenheit", "round((-40 + 273.15) * 9 / 5 - 459.67, 2)"},
		{"how many seconds are in an hour?", "round(1 * 3600 / 1, 6)"},
		{"convert 5 kg to miles", ""},
	} {
		code := plannedCode(t, transcript(said(test.message)))
		if strings.Contains(test.want, "\n") && code != test.want {
			t.Errorf("%q: got code\n%s\nwant\n%s", test.message, code, test.want)
		}
		if code != test.want && !strings.HasSuffix(code, "\n"+test.want) || test.want == "" && code != "" {
			t.Errorf("%q: got code\n%s\nwant its end\n%s", test.message, code, test.want)
		}
	}
}

func TestFenceOfAnotherLanguage(t *testing.T) {
	got := plannedAnswer(t, transcript(said("```js\nconsole.log(1)\n```")))
	if !strings.Contains(got, "Python only") {
		t.Errorf("got %q", got)
	}
}
