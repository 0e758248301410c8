//go:build !soak

package listener_test

// soak is whether the overload tests run at full size, which takes minutes.
const soak = false
