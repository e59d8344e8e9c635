package sessions

import (
	"fmt"
	"regexp"
)

// DefaultAPIVersion is the newest api-version that this package was written
// for.
const DefaultAPIVersion = version2510

// The api-versions in which something changed. They begin with a date, so they
// compare as text. A version between or after them is taken for the last one
// before it.
const (
	version2402 = "2024-02-02-preview" // the first: code/execute, the body wrapped in "properties"
	version2410 = "2024-10-02-preview" // executions, a flat body, asynchronous executions, directories
	version2502 = "2025-02-02-preview" // sessions and the pool's metadata; the one that pools of custom containers document
	version2510 = "2025-10-02-preview" // recursive lists, the length of streams
)

var versions = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(-[a-z]+)?$`)

// chooseVersion returns the api-version that o asks for.
func chooseVersion(o Options) (string, error) {
	switch {
	case o.APIVersion == "" && o.CustomContainer:
		return version2502, nil
	case o.APIVersion == "":
		return DefaultAPIVersion, nil
	case !versions.MatchString(o.APIVersion) || o.APIVersion < version2402:
		return "", fmt.Errorf("the api-version %.40q is not %s or a later one", o.APIVersion, version2402)
	}
	return o.APIVersion, nil
}

// need returns an error of kind [ErrUnsupported] if the client's api-version
// is older than since, the first that has the operation.
func (c *Client) need(what, since string) error {
	if c.version >= since {
		return nil
	}
	return &Error{kind: ErrUnsupported, Message: fmt.Sprintf("The api-version %s cannot %s; %s is the first that can.", c.version, what, since)}
}

// legacy reports whether the api-version is of the first family, which names
// its paths and its fields otherwise.
func (c *Client) legacy() bool { return c.version < version2410 }
