package pg

import (
	"fmt"
	"testing"
)

// The cache stays under its bound, keeps what was used last, and tells of every change.
func TestLRU(t *testing.T) {
	there := map[string]int{}
	c := newLRU[int](100, func(was, now *string) {
		if was != nil {
			there[*was]--
		}
		if now != nil {
			there[*now]++
		}
	})
	put := func(key int, row string, size int) { c.put(key, &row, size) }
	for i := range 10 {
		put(i, fmt.Sprint("row ", i), 10)
	}
	c.get(0)
	put(5, "other 5", 20)
	if _, ok := c.get(1); ok || c.used != 100 {
		t.Errorf("the oldest row stayed; %d bytes", c.used)
	}
	if row, ok := c.get(0); !ok || *row != "row 0" {
		t.Error("a row that was used is gone")
	}
	c.remove(0)
	if c.has(0) || c.used != 90 {
		t.Errorf("a removed row stayed; %d bytes", c.used)
	}
	put(77, "huge", 1000)
	if !c.has(77) || len(c.items) != 1 {
		t.Errorf("%d rows beside a huge one", len(c.items)-1)
	}
	for row, n := range there {
		if want := map[bool]int{true: 1}[row == "huge"]; n != want {
			t.Errorf("%q was announced %d times, not %d", row, n, want)
		}
	}
}
