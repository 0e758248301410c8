package forward

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
)

// TestTapeBounds: bodies up to 1 MiB are kept, short ones always, and all together in
// bounded memory. What was kept is given back.
func TestTapeBounds(t *testing.T) {
	var b Budget
	read := func(size int) *Tape {
		t.Helper()
		body := bytes.Repeat([]byte("a"), size)
		tape := NewTape(io.NopCloser(bytes.NewReader(body)), &b)
		if got, err := io.ReadAll(tape.Reader()); err != nil || !bytes.Equal(got, body) {
			t.Fatalf("read %d of %d bytes: %v", len(got), size, err)
		}
		if tape.Whole() {
			if got, err := io.ReadAll(tape.Reader()); err != nil || !bytes.Equal(got, body) {
				t.Fatalf("read %d of %d bytes again: %v", len(got), size, err)
			}
		}
		return tape
	}
	for size, whole := range map[int]bool{0: true, tapeShort: true, tapeBytes: true, tapeBytes + 1: false} {
		tape := read(size)
		if tape.Whole() != whole || !tape.ended() {
			t.Errorf("a body of %d bytes: whole %t, ended %t", size, tape.Whole(), tape.ended())
		}
		tape.Release()
	}
	if n := b.used.Load(); n != 0 {
		t.Errorf("%d bytes are in use", n)
	}
	var kept []*Tape
	for range tapesBytes / (tapeBytes - tapeShort) {
		kept = append(kept, read(tapeBytes))
	}
	if !kept[len(kept)-1].Whole() || read(tapeBytes).Whole() || !read(tapeShort).Whole() {
		t.Error("the bound of all bodies does not hold")
	}
	kept[0].Release()
	if !read(tapeBytes).Whole() {
		t.Error("what was released is not used again")
	}
}

// TestTapeReaders: while an abandoned reader waits for the body, the next one reads what
// is there, and then what the abandoned one gets.
func TestTapeReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Budget
		body, write := io.Pipe()
		tape := NewTape(body, &b)
		abandoned := tape.Reader()
		go func() { _, _ = io.Copy(io.Discard, abandoned) }()
		if _, err := io.WriteString(write, "first"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		next := tape.Reader()
		got := make([]byte, 5)
		if _, err := io.ReadFull(next, got); err != nil || string(got) != "first" {
			t.Fatalf("%q, %v", got, err)
		}
		read := make(chan string)
		go func() {
			n, _ := io.ReadFull(next, got)
			read <- string(got[:n])
		}()
		tape.stop() // while the abandoned one waits
		abandoned.Close()
		if _, err := io.WriteString(write, "other"); err != nil {
			t.Fatal(err)
		}
		if text := <-read; text != "other" {
			t.Errorf("read %q", text)
		}
		write.CloseWithError(errors.New("broken"))
		if _, err := next.Read(got); err == nil || err.Error() != "broken" {
			t.Error(err)
		}
		if _, err := abandoned.Read(got); err == nil {
			t.Error("a closed reader reads")
		}
	})
}
