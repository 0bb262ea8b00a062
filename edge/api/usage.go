package api

// storageUsage answers how many bytes all files have: to everybody the first digit and zeros.
func (a *API) storageUsage(c *call) error {
	n, err := a.cfg.Read.StorageUsed(c.ctx)
	if err != nil {
		return err
	}
	return c.ok(map[string]int64{"bytes": roughly(n)})
}

// roughly keeps the first digit.
func roughly(n int64) int64 {
	unit := int64(1)
	for n/unit >= 10 {
		unit *= 10
	}
	return n / unit * unit
}
