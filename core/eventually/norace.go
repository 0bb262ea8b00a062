//go:build !race

package eventually

const racing = false
