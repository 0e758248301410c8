package sandbox

// wake un-archives a thread that is written to.
func (s *Sandbox) wake(ch *channel) {
	if !ch.Thread.Archived {
		return
	}
	ch.Thread.Archived = false
	ch.Thread.ArchiveTimestamp = timestamp(s.now())
	s.publish("THREAD_UPDATE", ch.GuildID, ch.ID, func() any { return ch.wire() })
}
