// Package parse finds the mentions and hashtags in a message. It reads Markdown with a CommonMark library, as
// clients do, and ignores code and links.
//
// It is pure and never fails, and its time is in proportion to the length of the message. It does not look up the users
// that are mentioned.
package parse
