// Package parse finds the mentions and hashtags in a message. It ignores code, in spans and
// blocks.
//
// It is pure and never fails. It does not look up the users that are mentioned.
package parse
