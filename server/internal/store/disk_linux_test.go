package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"discordproxy/server/internal/store"
	"discordproxy/server/internal/store/storetest"
	"discordproxy/test/require"
)

// TestFullDisk fills a file system of its own: changes fail by name, what was written
// stays, and changes succeed when there is space again.
func TestFullDisk(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=4m,mode=0700"); err != nil {
		require.Skip(t, "mounting a small file system needs root", err.Error())
	}
	t.Cleanup(func() { _ = syscall.Unmount(folder, syscall.MNT_DETACH) })
	ballast := filepath.Join(folder, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s := storetest.Open(t, store.Config{Folder: filepath.Join(folder, "data")})
	o, err := s.Outbox(t.Context(), "bot")
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	d := delivery("", "channel 1", 1)
	d.Request = make([]byte, 50_000)
	large := store.OutboxLimits{Deliveries: 1000, Bytes: 1 << 30}
	enqueue := func() error {
		d.ID = time.Duration(accepted).String()
		results, err := o.Enqueue(t.Context(), large, []store.Delivery{d})
		if err == nil && results[0].Err != nil {
			t.Fatal(results[0].Err)
		}
		if err == nil {
			accepted++
		}
		return err
	}
	for err = enqueue(); err == nil && accepted < 1000; err = enqueue() {
	}
	if !errors.Is(err, store.ErrFull) || accepted == 0 {
		t.Fatalf("after %d deliveries: %v", accepted, err)
	}
	stored := func() int {
		all, err := o.List(t.Context(), store.DeliveryFilter{}, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	if n := stored(); n != accepted {
		t.Errorf("%d deliveries are stored, %d were accepted", n, accepted)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := enqueue(); err != nil {
		t.Error(err)
	}
	if n := stored(); n != accepted {
		t.Errorf("%d deliveries are stored, %d were accepted", n, accepted)
	}
}
