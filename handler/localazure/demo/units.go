package demo

import (
	"cmp"
	"fmt"
	"strings"
)

// unit is one that can be converted into the others of its dimension.
type unit struct {
	dimension string
	size      string // in the dimension's base unit, as Python
}

// units by their names; of the plural an "s" is taken off first.
var units = map[string]unit{
	"mm": {"length", "0.001"}, "cm": {"length", "0.01"}, "m": {"length", "1"}, "km": {"length", "1000"},
	"millimeter": {"length", "0.001"}, "centimeter": {"length", "0.01"}, "meter": {"length", "1"}, "kilometer": {"length", "1000"},
	"metre": {"length", "1"}, "kilometre": {"length", "1000"}, "inch": {"length", "0.0254"}, "inche": {"length", "0.0254"},
	"foot": {"length", "0.3048"}, "feet": {"length", "0.3048"}, "ft": {"length", "0.3048"}, "yard": {"length", "0.9144"},
	"mile": {"length", "1609.344"}, "mi": {"length", "1609.344"}, "nautical mile": {"length", "1852"},

	"mg": {"mass", "1e-06"}, "g": {"mass", "0.001"}, "gram": {"mass", "0.001"}, "kg": {"mass", "1"}, "kilo": {"mass", "1"},
	"kilogram": {"mass", "1"}, "tonne": {"mass", "1000"}, "pound": {"mass", "0.45359237"}, "lb": {"mass", "0.45359237"},
	"ounce": {"mass", "0.028349523125"}, "oz": {"mass", "0.028349523125"},

	"ml": {"volume", "0.001"}, "l": {"volume", "1"}, "liter": {"volume", "1"}, "litre": {"volume", "1"},
	"gallon": {"volume", "3.785411784"}, "pint": {"volume", "0.473176473"}, "cup": {"volume", "0.2365882365"},

	"second": {"time", "1"}, "minute": {"time", "60"}, "hour": {"time", "3600"}, "day": {"time", "86400"}, "week": {"time", "604800"},

	"km/h": {"speed", "(1 / 3.6)"}, "kph": {"speed", "(1 / 3.6)"}, "mph": {"speed", "0.44704"}, "m/s": {"speed", "1"}, "knot": {"speed", "0.514444"},

	"byte": {"data", "1"}, "kb": {"data", "1000"}, "mb": {"data", "1e6"}, "gb": {"data", "1e9"}, "tb": {"data", "1e12"},
	"kib": {"data", "1024"}, "mib": {"data", "1048576"}, "gib": {"data", "1073741824"},
}

// degrees are the temperature scales: to and from kelvin.
var degrees = map[string]struct{ to, from string }{
	"c": {"%s + 273.15", "%s - 273.15"},
	"f": {"(%s + 459.67) * 5 / 9", "(%s) * 9 / 5 - 459.67"},
	"k": {"%s", "%s"},
}

var degreeNames = map[string]string{
	"c": "c", "°c": "c", "celsius": "c", "degrees celsius": "c", "degree celsius": "c", "centigrade": "c", "degrees c": "c",
	"f": "f", "°f": "f", "fahrenheit": "f", "degrees fahrenheit": "f", "degree fahrenheit": "f", "degrees f": "f",
	"k": "k", "kelvin": "k", "kelvins": "k",
}

func convert(_ ask, groups []string) (script, bool) {
	return conversion(groups[1], groups[2], groups[3])
}

func howMany(_ ask, groups []string) (script, bool) {
	return conversion(groups[2], groups[3], groups[1])
}

// conversion is the script that converts an amount.
func conversion(amount, from, to string) (script, bool) {
	from, to = strings.ToLower(strings.TrimSpace(from)), strings.ToLower(strings.TrimSpace(to))
	amount = listLiteral(cmp.Or(countWords[strings.ToLower(amount)], amount))
	s := script{lead: amount + " " + from + " in " + to + " is"}
	if d1, d2 := degreeNames[from], degreeNames[to]; d1 != "" && d2 != "" {
		kelvin := fmt.Sprintf(degrees[d1].to, amount)
		s.value = "round(" + fmt.Sprintf(degrees[d2].from, kelvin) + ", 2)"
		return s, true
	}
	u1, u2 := unitNamed(from), unitNamed(to)
	if u1.dimension == "" || u1.dimension != u2.dimension {
		return script{}, false
	}
	s.value = fmt.Sprintf("round(%s * %s / %s, 6)", amount, u1.size, u2.size)
	return s, true
}

func unitNamed(name string) unit {
	if u, ok := units[name]; ok {
		return u
	}
	return units[strings.TrimSuffix(name, "s")]
}
