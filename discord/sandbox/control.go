package sandbox

// Messages returns copies of the messages of a channel, oldest first.
func (s *Sandbox) Messages(channel ID) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.channels[channel]
	if ch == nil {
		return nil
	}
	out := make([]Message, len(ch.messages))
	for i, m := range ch.messages {
		out[i] = *s.view(m, 0)
	}
	return out
}
