package rate

// Remembered gives how many accounts and addresses have buckets, and how many logins are known.
func (l *Limiter) Remembered() (buckets, logins int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.purse.Len(), l.known.Len()
}
