package hot_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/nearside/nearside/edge/hot"
)

// unmeasured is metrics that are not registered.
var unmeasured = hot.NewMetrics(nil)

func constant[V any](v V) func(context.Context) (V, bool, error) {
	return func(context.Context) (V, bool, error) { return v, true, nil }
}

func TestCache_KeptValueIsReadOnce(t *testing.T) {
	// A value that may be stored is read once.
	c := hot.New[int, string, int](unmeasured, "test", 10, nil)
	reads := 0
	for range 3 {
		v, err := c.Get(t.Context(), 1, "a", func(context.Context) (int, bool, error) { reads++; return 7, true, nil })
		if v != 7 || err != nil {
			t.Fatalf("got %d, %v", v, err)
		}
	}
	if reads != 1 {
		t.Fatalf("read %d times", reads)
	}
}

func TestCache_BoundHolds(t *testing.T) {
	// The sizes of the stored values never add up to more than the bound.
	c := hot.New[int, int, int](unmeasured, "test", 100, func(v int) int64 { return int64(v) })
	for i := range 1000 {
		c.Get(t.Context(), i%17, i, constant(i%40))
		if used := c.Used(); used > 100 {
			t.Fatalf("after %d: %d kept", i, used)
		}
	}
	c.Clear()
	if c.Used() != 0 {
		t.Fatal("something is left after Clear")
	}
}

func TestCache_ReadsAreCounted(t *testing.T) {
	// A cache counts under its name how often it had the value, and how often not.
	reg := prometheus.NewRegistry()
	c := hot.New[int, string, int](hot.NewMetrics(reg), "numbers", 10, nil)
	for _, k := range []string{"a", "a", "b", "a"} {
		c.Get(t.Context(), 1, k, constant(7))
	}
	const want = `# HELP nearside_api_cache_reads_total Reads through the caches of the API, by cache and whether it had the value.
# TYPE nearside_api_cache_reads_total counter
nearside_api_cache_reads_total{cache="numbers",result="hit"} 2
nearside_api_cache_reads_total{cache="numbers",result="miss"} 2
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestCache_GroupIsBounded(t *testing.T) {
	// A group keeps its newest keys, and dropping it leaves the other groups.
	c := hot.New[int, int, int](unmeasured, "test", 1000, nil)
	c.Get(t.Context(), 2, 0, constant(1))
	for k := range 100 {
		c.Get(t.Context(), 1, k, constant(k))
	}
	if used := c.Used(); used != 64+1 {
		t.Errorf("%d kept", used)
	}
	c.Forget(1)
	if used := c.Used(); used != 1 {
		t.Errorf("%d kept after the group was forgotten", used)
	}
}

func TestCache_ForgetDuringLoad(t *testing.T) {
	// A value that was read before a Forget is neither stored nor given to a caller that came
	// after it.
	c := hot.New[int, int, string](unmeasured, "test", 10, nil)
	old := func(ctx context.Context) (string, bool, error) {
		c.Forget(1)
		if v, _ := c.Get(ctx, 1, 1, constant("new")); v != "new" {
			t.Errorf("a caller after Forget got %q", v)
		}
		return "old", true, nil
	}
	if v, _ := c.Get(t.Context(), 1, 1, old); v != "old" {
		t.Fatalf("the first caller got %q", v)
	}
	if v, _ := c.Get(t.Context(), 1, 1, constant("newer")); v != "new" {
		t.Fatalf("kept %q", v)
	}
}

func TestCache_FirstCallerLeaves(t *testing.T) {
	// If the first caller's context ends, the waiting callers do not fail.
	c := hot.New[int, int, int](unmeasured, "test", 10, nil)
	entered, leave := make(chan struct{}), make(chan struct{})
	go c.Get(t.Context(), 1, 1, func(context.Context) (int, bool, error) {
		close(entered)
		<-leave
		return 0, false, context.Canceled
	})
	<-entered
	got := make(chan int)
	go func() {
		v, _ := c.Get(t.Context(), 1, 1, constant(5))
		got <- v
	}()
	close(leave)
	if v := <-got; v != 5 {
		t.Fatalf("got %d", v)
	}
}

func TestCache_ErrorIsNotKept(t *testing.T) {
	// A failed read is repeated.
	c := hot.New[int, int, int](unmeasured, "test", 10, nil)
	boom := errors.New("boom")
	if _, err := c.Get(t.Context(), 1, 1, func(context.Context) (int, bool, error) { return 0, true, boom }); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if v, err := c.Get(t.Context(), 1, 1, constant(2)); v != 2 || err != nil {
		t.Fatal(v, err)
	}
}

func TestCache_NeverOlderThanForget(t *testing.T) {
	// With concurrent writers and readers, a reader never gets a value older than the last change
	// announced before its call.
	c := hot.New[int, int, int64](unmeasured, "test", 3, nil) // smaller than the number of keys, so that eviction happens too
	const groups = 4
	var truth, announced [groups]atomic.Int64
	var wg sync.WaitGroup
	for g := range groups {
		wg.Go(func() {
			for i := int64(1); i <= 2000; i++ {
				truth[g].Store(i)
				c.Forget(g)
				announced[g].Store(i)
			}
		})
	}
	for range 4 {
		wg.Go(func() {
			for range 4000 {
				g := rand.IntN(groups)
				floor := announced[g].Load()
				v, err := c.Get(context.Background(), g, rand.IntN(3), func(context.Context) (int64, bool, error) { return truth[g].Load(), true, nil })
				if err != nil || v < floor {
					t.Errorf("group %d: saw %d after %d was announced (%v)", g, v, floor, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
