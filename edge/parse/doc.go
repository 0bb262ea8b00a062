// Package parse finds what a message says to the server: the people it names and its hashtags.
// Code, in spans and blocks, says nothing.
//
// It is pure and never fails; whom a name belongs to is for others to find out.
package parse
