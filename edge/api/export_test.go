package api

import "context"

// Route is a row of the table, for tests that walk it.
type Route struct {
	Method, Path string
	Session      bool
}

// Routes gives the table.
func Routes() []Route {
	var out []Route
	for _, r := range table {
		out = append(out, Route{r.method, r.path, r.session})
	}
	return out
}

// Operations is the list of all operations.
func Operations() string { return operations }

// DecodeJSON is what decodes bodies.
func DecodeJSON(raw []byte, into any) error { return decodeJSON(raw, into) }

// ProblemOf is what makes error answers.
var ProblemOf = problemOf

// NewQuestions gives what lets requests share questions to home.
func NewQuestions() func(context.Context, func(context.Context) error) error {
	return newQuestions().ask
}
