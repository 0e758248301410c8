//go:build soak

package listener_test

const soak = true
