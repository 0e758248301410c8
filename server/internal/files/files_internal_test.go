package files

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestReadRegular: a file that is not regular is an error immediately, links are
// followed, and the size is limited.
func TestReadRegular(t *testing.T) {
	folder := t.TempDir()
	file, link, large := filepath.Join(folder, "file"), filepath.Join(folder, "link"), filepath.Join(folder, "large")
	if err := errors.Join(os.WriteFile(file, []byte("text"), 0o600), os.Symlink(file, link), os.WriteFile(large, nil, 0o600), os.Truncate(large, MaxBytes+1)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link} {
		if data, err := ReadRegular(path); err != nil || string(data) != "text" {
			t.Errorf("%s: %q, %v", path, data, err)
		}
	}
	for path, want := range map[string]string{folder: "a folder", os.DevNull: "a device", large: "larger than"} {
		if _, err := ReadRegular(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestFileThatHangs: a read that hangs delays neither other files nor the shutdown. The
// file is used when it can be read again.
func TestFileThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var mu sync.Mutex // guards all that the reads look at
		change := func(f func()) {
			mu.Lock()
			defer mu.Unlock()
			f()
		}
		release, reads, text := make(chan struct{}), 0, "first"
		used := map[string]string{}
		use := func(name string) func([][]byte) error {
			return func(contents [][]byte) error {
				change(func() { used[name] = string(contents[0]) })
				return nil
			}
		}
		hang := false
		slow := &Watched{What: "slow file", Paths: []string{"slow"}, Use: use("slow"), ReadFile: func(string) ([]byte, error) {
			var wait <-chan struct{}
			change(func() {
				if reads++; hang {
					wait = release
				}
			})
			if wait != nil {
				<-wait
			}
			mu.Lock()
			defer mu.Unlock()
			return []byte(text), nil
		}}
		other := &Watched{What: "other file", Paths: []string{"other"}, Use: func([][]byte) error { return nil }}
		otherText := []byte("1")
		other.ReadFile = func(string) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			return otherText, nil
		}
		if err := errors.Join(slow.Load(t.Context()), other.Load(t.Context())); err != nil {
			t.Fatal(err)
		}
		other.Use = use("other")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			Watch(ctx, slog.New(slog.NewTextHandler(&log, nil)), slow, other)
		}()
		change(func() { hang, otherText = true, []byte("2") })
		pass(2 * Timeout)
		before := reads
		pass(10 * Timeout)
		if reads != before || used["other"] != "2" {
			t.Errorf("%d more reads were begun; of the other file %q is used", reads-before, used["other"])
		}
		if n := strings.Count(log.String(), errFileSlow.Error()); n != 1 {
			t.Errorf("logged %d times: %s", n, &log)
		}
		change(func() { text, hang = "second", false })
		close(release)
		pass(2 * Timeout)
		if used["slow"] != "second" {
			t.Errorf("afterwards %q is used", used["slow"])
		}
		change(func() { hang, release = true, make(chan struct{}) })
		pass(2 * Interval)
		cancel()
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Error("the end waits for the read")
		}
		close(release)
	})
}

// TestReplaceWhileReadHangs: files whose read hangs can be replaced by others. The race
// detector reports a read that looks at what Replace changes.
func TestReplaceWhileReadHangs(t *testing.T) {
	release, used := make(chan struct{}), ""
	w := &Watched{
		What: "file", Paths: []string{"slow"},
		Use: func(contents [][]byte) error {
			used = string(contents[0])
			return nil
		},
		ReadFile: func(path string) ([]byte, error) {
			<-release
			return []byte(path), nil
		},
	}
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	w.await(impatient)
	hanging := w.reading
	other := func(path string) ([]byte, error) { return []byte(path), nil }
	if err := w.replace(t.Context(), replacement{paths: []string{"other"}, read: other}); err != nil || used != "other" {
		t.Errorf("%q is used, %v", used, err)
	}
	close(release)
	if old := <-hanging; string(bytes.Join(old.contents, nil)) != "slow" {
		t.Errorf("the read that hung returned %q, %v", old.contents, old.err)
	}
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
