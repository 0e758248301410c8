package sandbox

import "time"

// Poll is a poll in a message. Nobody votes in the sandbox.
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
