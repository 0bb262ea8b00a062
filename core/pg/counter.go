package pg

import "github.com/nearside/nearside/core/apply"

// Counters is the table of numbers that decisions need.
var Counters = table(Table[string, apply.Counter]{
	name: "counters", keys: 1, part: 10,
	key:  func(c *apply.Counter) string { return c.Name },
	with: func(name string) apply.Counter { return apply.Counter{Name: name} },
	cols: []column[apply.Counter]{
		col("name", texts(), func(c *apply.Counter) *string { return &c.Name }),
		col("value", bigints[int64](), func(c *apply.Counter) *int64 { return &c.Value }),
	},
})
