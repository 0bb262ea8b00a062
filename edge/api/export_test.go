package api

import (
	"context"

	"github.com/nearside/nearside/edge/catalogue"
)

// ProblemOf returns the wire form of an error in a language.
func ProblemOf(err error, locale, requestID string) Problem {
	return problemOf(err, catalogue.For(locale, ""), requestID)
}

// NewQuestions returns the function by which requests share questions to home.
func NewQuestions() func(context.Context, func(context.Context) error) error {
	return newQuestions().ask
}
