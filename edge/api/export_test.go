package api

import (
	"context"
)

// NewQuestions gives what lets requests share questions to home.
func NewQuestions() func(context.Context, func(context.Context) error) error {
	return newQuestions().ask
}
