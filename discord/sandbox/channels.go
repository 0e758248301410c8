package sandbox

var channelRoutes = []route{
	{method: "GET", template: "/channels/{channel_id}", handle: (*Sandbox).getChannel},
}

// visible finds the channel that a call is about, and what its caller may do
// there. A channel that cannot be seen is Missing Access.
func (s *Sandbox) visible(c *call) (*channel, Permissions, error) {
	ch := s.channels[c.id("channel_id")]
	if ch == nil {
		return nil, 0, errUnknownChannel
	}
	p := s.permissions(c.user.ID, ch)
	if !p.Has(PermViewChannel) {
		return nil, 0, errMissingAccess
	}
	return ch, p, nil
}

func (s *Sandbox) getChannel(c *call) (any, error) {
	ch, _, err := s.visible(c)
	if err != nil {
		return nil, err
	}
	return s.channelView(ch, c.user.ID), nil
}

// channelView is a channel as someone sees it.
func (s *Sandbox) channelView(ch *channel, viewer ID) any {
	out := ch.Channel
	if ch.isThread() {
		if m := ch.threadMembers[viewer]; m != nil {
			out.Member = m
		}
	}
	return out.wire()
}
