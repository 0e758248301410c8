package server

import (
	"maps"
	"testing"
	"time"

	"discordproxy/server/internal/store"
	"discordproxy/server/internal/store/storetest"
)

// TestFolderClock: what was saved in a data folder is as old as the machine has run since,
// also if its wall clock was set between two runs or during one. After another start of the
// machine the wall clock counts, without what it was set by before.
func TestFolderClock(t *testing.T) {
	folder := store.Config{Folder: t.TempDir()}
	var boot bootTime
	// run is one run of a server, which saves the part and returns how old the last one was.
	run := func(set time.Duration) (age time.Duration) {
		s := storetest.Open(t, folder)
		defer s.Close()
		d := &data{store: s, bot: "bot"}
		parts, err := s.State(t.Context(), "bot")
		if err != nil {
			t.Fatal(err)
		}
		d.restoreClock(parts[clockPart].Data, func() (bootTime, bool) { return boot, true })
		if part, ok := parts["part"]; ok {
			age = d.now().Sub(part.At)
		}
		boot.Since -= set // the wall clock of this process is fixed, so the other one moves
		saved := map[string][]byte{"part": []byte("x")}
		for _, source := range d.sources {
			more, done := source.save()
			maps.Copy(saved, more)
			done()
		}
		if err := s.SaveState(t.Context(), "bot", d.now(), saved); err != nil {
			t.Fatal(err)
		}
		return age
	}
	about := func(what string, age, want time.Duration) {
		t.Helper()
		if off := age - want; off.Abs() > 20*time.Second {
			t.Errorf("%s: the part is %v old, want %v", what, age, want)
		}
	}
	boot = bootTime{Boot: "first", Since: time.Hour}
	run(0)
	about("at once", run(0), 0)
	boot.Since += time.Minute // while the wall clock stayed: it was set back
	about("set back between runs", run(0), time.Minute)
	boot.Since += time.Minute
	about("set back further", run(5*time.Minute), time.Minute) // and it is set forward while the server runs
	boot.Since += time.Minute
	about("set forward during the last run", run(0), time.Minute)
	boot = bootTime{Boot: "second", Since: time.Second}
	about("after another start", run(0), 0)
	boot.Since += time.Minute
	about("after that", run(0), time.Minute)
}
