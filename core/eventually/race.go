//go:build race

package eventually

const racing = true
