package server

import (
	"encoding/json"
	"time"
)

// clockPart is how the times in a data folder relate to the machine's clocks.
const clockPart = "clock"

// clockMoved is by how much the wall clock must have moved to be saved.
const clockMoved = 100 * time.Millisecond

// bootTime is how long the machine has run, its sleep included, and the name of its start.
type bootTime struct {
	Boot  string
	Since time.Duration
}

// savedClock says what the clock of a data folder is: Reference and the time for which the
// machine has run since Boot. It is the wall clock for as long as nobody sets that one.
type savedClock struct {
	Boot      string    `json:"boot"`
	Reference time.Time `json:"reference"`
	// Ahead is by how much the wall clock was ahead of it.
	Ahead time.Duration `json:"ahead"`
}

// resumeClock returns the clock of a folder from what an earlier run saved. After another
// start of the machine, only the wall clock shows how long it was off.
func resumeClock(saved savedClock, boot bootTime, wall time.Time) savedClock {
	if saved.Boot != boot.Boot {
		saved = savedClock{Boot: boot.Boot, Reference: wall.Round(0).Add(-saved.Ahead - boot.Since), Ahead: saved.Ahead}
	}
	return saved
}

// ahead returns by how much the wall clock is ahead.
func (c savedClock) ahead(boot bootTime, wall time.Time) time.Duration {
	return wall.Round(0).Sub(c.Reference.Add(boot.Since))
}

// folderClock is the clock of a data folder as a source.
type folderClock struct {
	clock savedClock
	now   func() (bootTime, bool)
	saved []byte
}

// restoreClock has times in a data folder be by a clock that nobody can set, if the machine
// has one.
func (d *data) restoreClock(saved []byte, now func() (bootTime, bool)) {
	boot, ok := now()
	if !ok {
		return
	}
	c := &folderClock{now: now, saved: saved}
	_ = json.Unmarshal(saved, &c.clock) // what cannot be read is begun again
	c.clock = resumeClock(c.clock, boot, time.Now())
	d.skew = c.skew
	d.add(c)
}

func (c *folderClock) skew() time.Duration {
	boot, ok := c.now()
	if !ok {
		return c.clock.Ahead
	}
	return c.clock.ahead(boot, time.Now())
}

func (c *folderClock) save() (parts map[string][]byte, done func()) {
	next := c.clock
	if ahead := c.skew(); (ahead - next.Ahead).Abs() >= clockMoved {
		next.Ahead = ahead
	}
	encoded, _ := json.Marshal(next) // plain values can be written
	if string(encoded) == string(c.saved) {
		return nil, func() {}
	}
	return map[string][]byte{clockPart: encoded}, func() { c.clock.Ahead, c.saved = next.Ahead, encoded }
}
