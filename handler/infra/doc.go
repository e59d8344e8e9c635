// Package infra holds the templates of the deployment, in the folder infra, to
// what the code needs and to the promise that there is no secret. They are
// proven by a deployment alone; these tests catch, without Azure, what would
// fail there late or not at all. It has no code but tests.
package infra
