package apply

// Counters holds numbers that decisions need and that would be slow to count.
var Counters = table[string, Counter]("counters", "name")

// Counter is one of them.
type Counter struct {
	Name  string `cbor:"1,keyasint" db:"name" max:"128"`
	Value int64  `cbor:"2,keyasint" db:"value"`
}
