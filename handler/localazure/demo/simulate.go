package demo

import "fmt"

// seeded says why a simulation gives the same result each time.
const seeded = "The code seeds its random numbers with 42, so the same question gives the same answer."

var (
	diceCount = matching(count + ` (?:fair |six[- ]sided |\d+[- ]sided )?dice`)
	diceForm  = matching(`(\d{1,3})d(\d{1,3})`)
	sided     = matching(`(\d{1,3})[- ]sided`)
	repeats   = matching(count + ` (?:times|rolls|throws|trials|experiments|runs|simulations|games)`)
	coinCount = matching(count + ` (?:fair )?coins\b`)
	flipCount = matching(count + ` (?:times|(?:coin )?(?:flips|tosses))\b`)
	stepCount = matching(count + `[- ]?steps?`)
	samples   = matching(count + ` (?:samples|points|random points|iterations|trials|throws|darts)`)
	people    = matching(count + ` (?:people|persons|students|guests|friends)`)
)

func rollDice(a ask, _ []string) (script, bool) {
	dice, sides := a.countNear(diceCount, "1"), a.countNear(sided, "6")
	if m := diceForm.FindStringSubmatch(a.text); m != nil {
		dice, sides = cleanNumber(m[1]), cleanNumber(m[2])
	}
	times, lead := a.countNear(repeats, "1"), "The mean total is"
	if times == "1" {
		lead = "The total is"
	}
	return simulation(dicePy, fmt.Sprintf("roll_dice(%s, %s, %s)", dice, sides, times), lead)
}

func flipCoins(a ask, _ []string) (script, bool) {
	coins, times := a.countNear(coinCount, "1"), a.countNear(flipCount, "1")
	if coins == "1" {
		coins = times
	} else if times != "1" {
		coins += " * " + times
	}
	return simulation(coinsPy, "flip_coins("+coins+")", "The share of heads is")
}

func randomWalk(a ask, _ []string) (script, bool) {
	return simulation(walkPy, fmt.Sprintf("random_walk(%s)", a.countNear(stepCount, "1000")), "The walk ends at")
}

func estimatePi(a ask, _ []string) (script, bool) {
	return simulation(piPy, fmt.Sprintf("estimate_pi(%s)", a.countNear(samples, "100000")), "The estimate of pi is")
}

func birthdays(a ask, _ []string) (script, bool) {
	call := fmt.Sprintf("shared_birthday(%s, %s)", a.countNear(people, "23"), a.countNear(repeats, "10000"))
	return simulation(birthdaysPy, call, "The share of groups with a shared birthday is")
}

func simulation(source, call, lead string) (script, bool) {
	s, ok := using(source, call, lead)
	s.note = seeded
	return s, ok
}
