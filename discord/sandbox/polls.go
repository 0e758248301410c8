package sandbox

import (
	"errors"
	"net/http"
	"slices"
	"time"
)

var pollRoutes = []route{
	{method: "GET", template: "/channels/{channel_id}/polls/{message_id}/answers/{answer_id}", handle: (*Sandbox).listVoters},
	{method: "POST", template: "/channels/{channel_id}/polls/{message_id}/expire", handle: (*Sandbox).endPoll},
}

// Poll is a poll in a message.
// See https://discord.com/developers/docs/resources/poll.
type Poll struct {
	Question    PollMedia    `json:"question"`
	Answers     []PollAnswer `json:"answers"`
	Expiry      string       `json:"expiry"`
	Multiselect bool         `json:"allow_multiselect"`
	LayoutType  int          `json:"layout_type"`
	Results     PollResults  `json:"results"`
}

// PollMedia is the text of a question or an answer.
type PollMedia struct {
	Text  string         `json:"text,omitempty"`
	Emoji *ReactionEmoji `json:"emoji,omitempty"`
}

// PollAnswer is one of a poll's answers.
type PollAnswer struct {
	ID    int       `json:"answer_id"`
	Media PollMedia `json:"poll_media"`
}

// PollResults counts votes.
type PollResults struct {
	Counts    []PollCount `json:"answer_counts"`
	Finalized bool        `json:"is_finalized"`
}

// PollCount counts the votes for one answer.
type PollCount struct {
	ID      int  `json:"id"`
	Count   int  `json:"count"`
	MeVoted bool `json:"me_voted"`
}

type pollBody struct {
	Question PollMedia `json:"question"`
	Answers  []struct {
		Media PollMedia `json:"poll_media"`
	} `json:"answers"`
	Duration    *int `json:"duration"` // hours
	Multiselect bool `json:"allow_multiselect"`
}

func (b *pollBody) make(f *formError, now time.Time) *Poll {
	f.length("poll.question.text", clean(b.Question.Text), 1, 300)
	if n := len(b.Answers); n < 1 || n > 10 {
		f.add("poll.answers", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 10 in length.")
	}
	hours := 24
	if b.Duration != nil {
		hours = *b.Duration
	}
	f.between("poll.duration", hours, 1, 768)
	out := &Poll{
		Question: b.Question, Multiselect: b.Multiselect, LayoutType: 1,
		Expiry:  timestamp(now.Add(time.Duration(hours) * time.Hour)),
		Results: PollResults{Counts: []PollCount{}},
	}
	for i, a := range b.Answers {
		f.length(join("poll.answers", i)+".poll_media.text", clean(a.Media.Text), 1, 55)
		out.Answers = append(out.Answers, PollAnswer{i + 1, a.Media})
	}
	return out
}

// counted is a poll with its votes as someone sees them.
func (m *message) counted(viewer ID) *Poll {
	out := *m.Poll
	out.Results.Counts = []PollCount{}
	for _, a := range out.Answers {
		if voters := m.votes[a.ID]; len(voters) > 0 {
			out.Results.Counts = append(out.Results.Counts, PollCount{a.ID, len(voters), slices.Contains(voters, viewer)})
		}
	}
	return &out
}

// Vote votes for answers of a poll as a user, by their numbers from 1. It replaces the
// user's earlier votes; without answers, it removes them.
func (s *Sandbox) Vote(channel, poll, user ID, answers ...int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.channels[channel]
	switch {
	case ch == nil:
		return errNoChannel
	case s.users[user] == nil:
		return errNoUser
	}
	m := ch.message(poll)
	if m == nil || m.Poll == nil {
		return errors.New("sandbox: no such poll")
	}
	if end, _ := parseTime(m.Poll.Expiry); m.Poll.Results.Finalized || !s.now().Before(end) {
		return cannot("the poll has ended")
	}
	if len(answers) > 1 && !m.Poll.Multiselect {
		return cannot("the poll takes one answer")
	}
	for _, a := range answers {
		if a < 1 || a > len(m.Poll.Answers) {
			return cannot("the poll has no answer %d", a)
		}
	}
	if m.votes == nil {
		m.votes = map[int][]ID{}
	}
	for _, a := range m.Poll.Answers {
		i, voted := slices.BinarySearch(m.votes[a.ID], user)
		switch votes := slices.Contains(answers, a.ID); {
		case votes && !voted:
			m.votes[a.ID] = slices.Insert(m.votes[a.ID], i, user)
			s.voted("MESSAGE_POLL_VOTE_ADD", ch, m, user, a.ID)
		case voted && !votes:
			m.votes[a.ID] = slices.Delete(m.votes[a.ID], i, i+1)
			s.voted("MESSAGE_POLL_VOTE_REMOVE", ch, m, user, a.ID)
		}
	}
	return nil
}

func (s *Sandbox) voted(kind string, ch *channel, m *message, user ID, answer int) {
	s.publish(kind, ch.GuildID, ch.ID, func() any {
		return struct {
			UserID    ID  `json:"user_id"`
			ChannelID ID  `json:"channel_id"`
			MessageID ID  `json:"message_id"`
			GuildID   ID  `json:"guild_id,omitzero"`
			AnswerID  int `json:"answer_id"`
		}{user, ch.ID, m.ID, ch.GuildID, answer}
	})
}

// polled finds the poll that a call is about.
func (s *Sandbox) polled(c *call) (*channel, *message, error) {
	ch, m, _, err := s.at(c)
	if err == nil && m.Poll == nil {
		err = refuse(http.StatusBadRequest, 520006, "Message is not a poll")
	}
	return ch, m, err
}

func (s *Sandbox) listVoters(c *call) (any, error) {
	_, m, err := s.polled(c)
	if err != nil {
		return nil, err
	}
	q := c.query()
	limit, after := q.int("limit", 25, 1, 100), q.snowflake("after")
	answer := int(c.id("answer_id"))
	if answer < 1 || answer > len(m.Poll.Answers) {
		q.add("answer_id", "POLL_ANSWER_INVALID", "Unknown answer")
	}
	if err := q.err(); err != nil {
		return nil, err
	}
	users := []*User{}
	for _, id := range m.votes[answer] {
		if u := s.users[id]; u != nil && id > after && len(users) < limit {
			users = append(users, &u.User)
		}
	}
	return map[string]any{"users": users}, nil
}

// endPoll ends a poll early, which its author may.
func (s *Sandbox) endPoll(c *call) (any, error) {
	ch, m, err := s.polled(c)
	switch {
	case err != nil:
		return nil, err
	case m.Author.ID != c.user.ID:
		return nil, errNotAuthor
	case m.Poll.Results.Finalized:
		return nil, refuse(http.StatusBadRequest, 520001, "Poll expired")
	}
	poll := *m.Poll
	poll.Expiry, poll.Results.Finalized = timestamp(c.now), true
	m.Poll = &poll
	s.changed(ch, m)
	s.store(ch, &message{Message: Message{
		Type: MessagePollResult, Author: m.Author, Reference: &MessageReference{MessageID: m.ID, ChannelID: ch.ID, GuildID: ch.GuildID},
	}})
	return s.view(m, c.user.ID), nil
}
