package pg

// lru holds committed rows up to a number of bytes and forgets the ones not used for longest.
// Rows are shared with whoever put them and never changed.
type lru[K comparable, T any] struct {
	max, used int
	items     map[K]*lruItem[K, T]
	ring      lruItem[K, T] // ring.next is the most recently used
	changed   func(was, now *T)
}

type lruItem[K comparable, T any] struct {
	key        K
	row        *T
	size       int
	prev, next *lruItem[K, T]
}

// newLRU makes a cache. changed hears of every row that comes, changes or goes; nil means there
// was or is none.
func newLRU[K comparable, T any](maxBytes int, changed func(was, now *T)) *lru[K, T] {
	c := &lru[K, T]{max: maxBytes, changed: changed}
	c.clear()
	return c
}

// clear forgets everything, without telling.
func (c *lru[K, T]) clear() {
	c.items, c.used = map[K]*lruItem[K, T]{}, 0
	c.ring.prev, c.ring.next = &c.ring, &c.ring
}

func (c *lru[K, T]) get(key K) (*T, bool) {
	it := c.items[key]
	if it == nil {
		return nil, false
	}
	c.unlink(it)
	c.front(it)
	return it.row, true
}

func (c *lru[K, T]) has(key K) bool { return c.items[key] != nil }

// put takes a row of about size bytes. The one put last stays, however large.
func (c *lru[K, T]) put(key K, row *T, size int) {
	it := c.items[key]
	var was *T
	if it == nil {
		it = &lruItem[K, T]{key: key}
		c.items[key] = it
	} else {
		was = it.row
		c.unlink(it)
	}
	c.used += size - it.size
	it.row, it.size = row, size
	c.front(it)
	c.changed(was, row)
	for c.used > c.max && c.ring.prev != it {
		c.remove(c.ring.prev.key)
	}
}

func (c *lru[K, T]) remove(key K) {
	it := c.items[key]
	if it == nil {
		return
	}
	c.unlink(it)
	delete(c.items, key)
	c.used -= it.size
	c.changed(it.row, nil)
}

func (c *lru[K, T]) unlink(it *lruItem[K, T]) { it.prev.next, it.next.prev = it.next, it.prev }

func (c *lru[K, T]) front(it *lruItem[K, T]) {
	it.prev, it.next = &c.ring, c.ring.next
	it.prev.next, it.next.prev = it, it
}
