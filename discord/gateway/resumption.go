package gateway

// maxResumes is the number of attempts in a row to resume a session. A session
// that Discord keeps can be resumed at the first; more than a few failures mean
// that something about the session itself cannot be delivered, and every further
// one keeps new events away.
const maxResumes = 4

// resumption counts the attempts to resume a session, and says when to give the
// session up.
//
// An attempt counts when it reached HELLO and failed after that, however it
// failed: closed with or without a code, refused for now, ended by a frame that
// cannot be read, or left without an answer. A failure before HELLO says nothing
// about the session, only about the way to Discord, and neither counts nor ends
// the row. RESUMED ends the row, and so do events that came although RESUMED did
// not.
type resumption struct{ failed int }

// ended takes the end of a connection that was to resume the session. It
// returns whether the session has to be given up.
func (r *resumption) ended(greeted, resumed bool) (giveUp bool) {
	switch {
	case resumed:
		r.failed = 0
	case greeted:
		r.failed++
	}
	return r.failed >= maxResumes
}
